"""The tables of docs/learning.md, made from the records of the parts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.learning.games import TASKS, normalise
from benchmarks.learning.parts import MARKS
from benchmarks.learning.variants import BASE
from benchmarks.records import Record, format_number, format_table
from retro_gamer.evaluation.statistics import half_interval_95

Records = Mapping[str, Record]
Scores = Mapping[str, Any]


def _select(records: Records, kind: str) -> list[Mapping[str, Any]]:
    """Return the values of the successful records of one kind of part."""
    return [r.values for name, r in records.items() if name.startswith(f"{kind}/") and r.error is None]


def _words(task: str) -> str:
    game, _, reward = task.partition("-")
    return f"{game.capitalize()}, `{reward}`"


def _with_interval(evaluation: Scores | None) -> str:
    if evaluation is None:
        return "—"
    return f"{format_number(evaluation['mean'])} ± {format_number(evaluation['interval'], 2)}"


def _yardsticks(records: Records) -> dict[str, Mapping[str, Any]]:
    return {values["task"]: values for values in _select(records, "yardsticks")}


def _normalised(records: Records, task: str, score: float) -> float | None:
    found = _yardsticks(records).get(task)
    if found is None or "expert" not in found:
        return None
    return normalise(score, found["random"]["mean"], found["expert"]["mean"])


def _format_normalised(value: float | None) -> str:
    return "—" if value is None else f"{round(value, 2) + 0.0:.2f}"  # no -0.00


def make_yardstick_table(records: Records) -> str:
    rows = [
        [_words(task), _with_interval(found["random"]), _with_interval(found.get("expert"))]
        for task, found in _yardsticks(records).items()
    ]
    return format_table(("game, reward", "random keys", "scripted expert"), rows) if rows else ""


def make_reach_table(records: Records) -> str:
    """Return one row per seed and one for their median, in the order of the tasks."""
    rows = []
    found = _select(records, "reach")
    for task in TASKS:
        runs = sorted((v for v in found if v["task"] == task), key=lambda v: v["seed"])
        rows += [_reach_row(records, run) for run in runs]
        if len(runs) > 1:
            rows.append(_median_row(records, task, runs))
    minutes = [f"{mark:g} min" for mark in MARKS]
    header = ("game, reward", "seed", *minutes, "normalised at the end")
    return format_table(header, rows) if rows else ""


def _reach_row(records: Records, run: Mapping[str, Any]) -> list[str]:
    cells = [_with_interval(run["minutes"].get(f"{mark:g}")) for mark in MARKS]
    last = max((m for m, evaluation in run["minutes"].items() if evaluation), key=float, default=None)
    end = None if last is None else _normalised(records, run["task"], run["minutes"][last]["mean"])
    return [_words(run["task"]), str(run["seed"]), *cells, _format_normalised(end)]


def _median_row(records: Records, task: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the row of medians. A mark that some seed lacks has no median: it would be one of other runs."""
    at_marks = [[run["minutes"].get(f"{mark:g}") for run in runs] for mark in MARKS]
    medians = [median_of(evaluation["mean"] for evaluation in found) if all(found) else None for found in at_marks]
    last = next((value for value in reversed(medians) if value is not None), None)
    end = None if last is None else _normalised(records, task, last)
    cells = [f"**{format_number(value)}**" if value is not None else "—" for value in medians]
    return [_words(task), "median", *cells, _format_normalised(end)]


def median_of(values: Iterable[float]) -> float | None:
    """Return the median, None of nothing."""
    found = list(values)
    return statistics.median(found) if found else None


def make_episode_table(records: Records) -> str:
    runs = sorted(_select(records, "episodes"), key=lambda v: v["seed"])
    rows = [
        [_words(v["task"]), str(v["seed"]), _with_interval(v["figures"]), f"{v['train_seconds'] / 60:.1f}"]
        for v in runs
    ]
    if len(runs) > 1:
        score = median_of(v["figures"]["mean"] for v in runs)
        minutes = statistics.median(v["train_seconds"] for v in runs) / 60
        rows.append([_words(runs[0]["task"]), "median", f"**{format_number(score)}**", f"{minutes:.1f}"])
    return format_table(("game, reward", "seed", "score", "minutes"), rows) if rows else ""


def make_peer_table(records: Records) -> str:
    """Return the published trainer's scores beside the median of ours after the same minutes."""
    rows = []
    for values in _select(records, "peer"):
        scores, minutes = values["scores"], values["train_minutes"]
        spread = half_interval_95(scores)
        evaluation = {"mean": statistics.fmean(scores), "interval": spread}
        ours = median_of(
            run["minutes"][mark]["mean"]
            for run in _select(records, "reach")
            if run["task"] == values["task"] and (mark := f"{minutes:g}") in run["minutes"] and run["minutes"][mark]
        )
        rows.append(
            [
                _words(values["task"]), f"{minutes:g}", f"{values['turns']:,}", _with_interval(evaluation),
                _format_normalised(_normalised(records, values["task"], evaluation["mean"])), format_number(ours),
            ]
        )  # fmt: skip
    header = ("game, reward", "minutes", "turns", "published trainer", "normalised", "ours, median of seeds")
    return format_table(header, rows) if rows else ""


def pool(scores: Sequence[float]) -> tuple[float, float]:
    """Return the mean over the seeds and its standard error (nan of a single one)."""
    error = statistics.stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else math.nan
    return statistics.fmean(scores), error


def compare(scores: Sequence[float], base: Sequence[float]) -> str:
    """Return the difference of two means over seeds with its standard error."""
    (mean, error), (base_mean, base_error) = pool(scores), pool(base)
    combined = math.hypot(error, base_error)
    difference = f"{'+' if mean >= base_mean else '-'}{format_number(abs(mean - base_mean))}"
    return difference if math.isnan(combined) else f"{difference} ± {format_number(combined, 2)}"


def make_actors_table(records: Records) -> str:
    by_count: dict[int, list[Mapping[str, Any]]] = {}
    for values in sorted(_select(records, "actors"), key=lambda v: (v["actors"], v["seed"])):
        by_count.setdefault(values["actors"], []).append(values)
    if not by_count:
        return ""
    base = [v["figures"]["mean"] for v in next(iter(by_count.values()))]
    rows = []
    for actors, runs in by_count.items():
        scores = [v["figures"]["mean"] for v in runs]
        updates = round(statistics.fmean(v["trained"]["updates"] for v in runs))
        each = ", ".join(format_number(score) for score in scores)
        difference = "" if scores == base else compare(scores, base)
        rows.append([str(actors), f"{updates:,}", each, format_number(pool(scores)[0]), difference])
    return format_table(("actors", "updates", "score per seed", "mean", "difference ± standard error"), rows)


def make_ablation_table(records: Records) -> str:
    """Return a table for each task: every variant, its seeds, and its difference from the base with the same seeds."""
    found = _select(records, "ablation")
    pieces = []
    for task in sorted({values["task"] for values in found}):
        by_variant: dict[str, list[Mapping[str, Any]]] = {}
        for values in sorted((v for v in found if v["task"] == task), key=lambda v: v["seed"]):
            by_variant.setdefault(values["variant"], []).append(values)
        base = {v["seed"]: v["figures"]["mean"] for v in by_variant.get(BASE, [])}
        updates = max(v["trained"]["updates"] for runs in by_variant.values() for v in runs)
        rows = [_ablation_row(variant, runs, base) for variant, runs in sorted(by_variant.items(), key=_base_first)]
        header = ("variant", "score per seed", "mean", "difference ± standard error")
        pieces.append(f"{_words(task)}, {updates:,} updates:\n\n{format_table(header, rows)}")
    return "\n\n".join(pieces)


def _base_first(item: tuple[str, object]) -> tuple[bool, str]:
    return item[0] != BASE, item[0]


def _ablation_row(variant: str, runs: Sequence[Mapping[str, Any]], base: Mapping[int, float]) -> list[str]:
    scores = [v["figures"]["mean"] for v in runs]
    of_base = [base[v["seed"]] for v in runs if v["seed"] in base]
    each = ", ".join(f"{v['seed']}: {format_number(v['figures']['mean'])}" for v in runs)
    difference = compare(scores, of_base) if len(of_base) == len(runs) and variant != BASE else ""
    return [variant, each, format_number(pool(scores)[0]), difference]


def describe_records(records: Records) -> str:
    """Return the machine, date and versions of the numbers."""
    if not records:
        return ""
    lines = sorted({_machine_line(record) for record in records.values()})
    return "\n\n".join(f"Measured on {line}." for line in lines)


def _machine_line(record: Record) -> str:
    machine = record.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    day = machine["date"][:10]
    return f"{machine['processor']}, {machine['cores']} cores, {versions}; commit {machine['commit']}, {day}"


TABLES: dict[str, Callable[[dict[str, Record]], str]] = {
    "yardsticks": make_yardstick_table,
    "reach": make_reach_table,
    "episodes": make_episode_table,
    "peer": make_peer_table,
    "actors": make_actors_table,
    "ablations": make_ablation_table,
    "machine": describe_records,
}
