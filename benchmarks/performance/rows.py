"""The tables of docs/performance.md, made from the records of the parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.machine import is_busy
from benchmarks.performance.model import ACTOR_COUNTS, Stations
from benchmarks.performance.parts import PARTS
from benchmarks.records import Record, format_number, format_table

Values = Mapping[str, Any]
UNDER_LOAD = "†"
GAMES = ("snake", "nav", "beast", "labyrinth")
REUSES = {"default": "64, every 4", "apex": "512, every 640"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One row: the part it comes from and how to read it.

    peer_part: the part that holds the peer's number, if it is another one
    floor: the best that this machine's arithmetic or the bare game allows, in the same unit; None where that is no
        useful bound
    """

    what: str
    part: str
    ours: Callable[[Values], float | None]
    how: str
    unit: str = "turns/s"
    peer: Callable[[Values], float | None] = lambda values: None
    peer_part: str | None = None
    floor: Callable[[Mapping[str, Record]], float | None] = lambda records: None
    scale: float = 1.0
    more_is_better: bool = True


def _rate(side: str) -> Callable[[Values], float | None]:
    return lambda values: values[side]["turns_per_second"] if side in values else None


def _values(records: Mapping[str, Record], part: str) -> Values | None:
    """Return the values of a part, None if it failed or has not run."""
    record = records.get(part)
    return None if record is None or record.error is not None else record.values


def _arithmetic_update(records: Mapping[str, Record]) -> float | None:
    values = _values(records, "one-update")
    return None if values is None else values["floor_seconds"]


def _arithmetic_turns(records: Mapping[str, Record]) -> float | None:
    seconds = _arithmetic_update(records)
    return None if seconds is None else 4 / seconds


def _bare_game(records: Mapping[str, Record]) -> float | None:
    values = _values(records, "one-actor")
    return None if values is None else values["bare_turns_per_second"]


def _actor(variant: str) -> Callable[[Values], float | None]:
    return lambda values: values[variant]["turns_per_second"]


MINUTE = "whole `train`; replay counts turns over a steady minute"
WINDOW = "whole `train`; replay counts turns over 40 s"
PUBLISHED = "published trainer: its own command line; the game counts turns over 20 s"
ROWS = (
    Row(what="`train`: Snake, spatial, prioritized, batch 64, one update every 4 turns",
        part="train-snake", ours=_rate("ours"),
        peer=_rate("peer"), floor=_arithmetic_turns, how=f"{MINUTE}; {PUBLISHED}"),
    Row(what="the same on Nav", part="train-nav", ours=_rate("ours"), peer=_rate("peer"),
        how=f"{WINDOW}; {PUBLISHED}"),
    Row(what="the same on Snake, not spatial", part="train-flat", ours=_rate("ours"), peer=_rate("peer"),
        how=f"{WINDOW}; {PUBLISHED}"),
    Row(what="the same, against RLlib's DQN", part="train-flat", ours=_rate("ours"), peer=_rate("rllib"),
        how="ours as above; RLlib: one runner of 4 games, MLP 128-128, prioritized, intensity 16, over 20 s"),
    Row(what="`train` with the strided CNN of stable-baselines3 on both sides, uniform replay",
        part="train-strided", ours=_rate("ours"),
        peer=_rate("peer"), how="whole `train` over 20 s; stable-baselines3's DQN.learn over 20 s"),
    Row(what="`train` with Ape-X's ratio: Snake, prioritized, batch 512, one update every 640 turns",
        part="train-apex", ours=_rate("ours"),
        how=WINDOW),
    Row(what="one update: Snake, default spatial network, with sampling and priorities", part="one-update",
        unit="ms", ours=lambda v: v["seconds"], floor=_arithmetic_update, scale=1e3,
        more_is_better=False, how="median of 300 in one process on real turns, with the threads that `train` chooses"),
    Row(what="one actor on one core: Snake, default network, greedy", part="one-actor", ours=_actor("greedy"),
        floor=_bare_game, how="blocks pushed into replay in the same process, over 10 s"),
    Row(what="the same, epsilon 1, uniform replay", part="one-actor", ours=_actor("random_uniform"),
        floor=_bare_game, how="the same"),
    Row(what="the same, epsilon 1, prioritized replay", part="one-actor", ours=_actor("random_prioritized"),
        floor=_bare_game, how="the same; the difference is the cost of initial priorities"),
    Row(what="replay memory of 1 M transitions: sample 256 prioritized, return their priorities",
        part="replay", unit="ms",
        ours=lambda v: v["seconds"], scale=1e3, more_is_better=False, how="median of 2,000"),
    Row(what="replay memory per Snake transition, 1 M transitions", part="replay", unit="bytes",
        ours=lambda v: v["bytes_per_transition"], more_is_better=False,
        how="bytes of all arrays and the sum tree, divided by the capacity"),
    Row(what="the same, resident memory", part="replay", unit="bytes",
        ours=lambda v: v["resident_bytes_per_transition"], more_is_better=False,
        how="growth of the process's resident memory, divided by the capacity"),
    Row(what="memory of all processes: default run, 2 actors", part="startup", unit="GB",
        ours=lambda v: v["pss_bytes"],
        peer=lambda v: v["peer"]["pss_bytes"], peer_part="train-snake", scale=1e-9, more_is_better=False,
        how="sum of proportional set sizes (PSS); the largest of one sample per second over 15 s"),
    Row(what="time from starting `train` to the first episode line", part="startup", unit="s",
        ours=lambda v: v["first_episode_seconds"], more_is_better=False,
        peer=lambda v: v["peer"]["first_episode_seconds"], peer_part="train-snake",
        how="median of 3; published trainer: until its first game ends"),
)  # fmt: skip


def make_main_table(records: Mapping[str, Record]) -> str:
    """Return the table of all rows whose parts were measured."""
    header = ("measurement", "unit", "ours", "peer", "ours / peer", "limit", "share of limit", "method")
    rows = [_make_cells(row, records) for row in ROWS if row.part in records]
    return format_table(header, rows) if rows else ""


def _make_cells(row: Row, records: Mapping[str, Record]) -> list[str]:
    record = records[row.part]
    if record.error is not None:
        return [row.what, row.unit, "failed", "", "", "", "", record.error.splitlines()[0]]
    beside = record.values if row.peer_part is None else _values(records, row.peer_part)
    peer = None if beside is None else row.peer(beside)
    ours, floor = row.ours(record.values), row.floor(records)
    mark = UNDER_LOAD if is_busy(dict(record.quiet), record.machine["cores"]) else ""
    ratio = "—" if not ours or not peer else f"{format_number(ours / peer if row.more_is_better else peer / ours, 2)}x"
    share = "—"
    if ours and floor:
        share = f"{100 * (ours / floor if row.more_is_better else floor / ours):.0f}%"
    numbers = [format_number(None if value is None else value * row.scale) for value in (ours, peer, floor)]
    return [row.what, row.unit, numbers[0] + mark, numbers[1], ratio, numbers[2], share, row.how]


def make_actor_table(records: Mapping[str, Record]) -> str:
    """Return the table of useful actors for each game and reuse."""
    header = ("game", "batch, turns per update", "turn (µs)", "update (ms)", "useful actors")
    rows = []
    for game in GAMES:
        found = _values(records, f"useful-{game}") or {}
        for reuse, values in found.items():
            rows.append(
                [
                    game.capitalize(),
                    REUSES[reuse],
                    format_number(values["turn_seconds"] * 1e6),
                    format_number(values["update_seconds"] * 1e3),
                    str(values["useful_actors"]),
                ]
            )
    return format_table(header, rows) if rows else ""


def make_stations(records: Mapping[str, Record], reuse: str) -> Stations | None:
    """Return the model's inputs for Snake at that reuse, None before they are measured."""
    times, ways = _values(records, "useful-snake"), _values(records, "data-ways")
    if times is None or ways is None:
        return None
    batch_size, train_every = {"default": (64, 4), "apex": (512, 640)}[reuse]
    replay = ways["replay"][reuse]
    return Stations(
        turn_seconds=times[reuse]["turn_seconds"],
        update_seconds=times[reuse]["update_seconds"],
        push_seconds_per_turn=replay["push_seconds_per_turn"],
        batch_seconds=replay["sample_seconds_per_batch"] + replay["priorities_seconds_per_batch"],
        bytes_per_turn=replay["bytes_per_turn"],
        bytes_per_batch=2 * batch_size * replay["bytes_per_turn"],
        store_bytes_per_second=ways["object_store_bytes_per_second"],
        train_every=train_every,
    )


def make_model_tables(records: Mapping[str, Record]) -> str:
    """Return, for each reuse, which station saturates first, and turns per second by number of actors."""
    parts = []
    for reuse, words in REUSES.items():
        stations = make_stations(records, reuse)
        if stations is None:
            continue
        filling = [
            [name, format_number(limit), format_number(actors)]
            for name, limit, actors in stations.order_of_saturation()
        ]
        paces = [(n, *stations.throughput(n)) for n in ACTOR_COUNTS]
        parts += [
            f"Snake, batch size and turns per update: {words}",
            format_table(("station", "limit (turns/s)", "actors to saturate it"), filling),
            format_table(
                ("actors", "turns/s", "limited by"), [[str(n), format_number(pace), by] for n, pace, by in paces]
            ),
        ]
    return "\n\n".join(parts)


def describe_records(records: Mapping[str, Record]) -> str:
    """Return the machine and date of the numbers, and the meaning of the mark if one is used."""
    if not records:
        return ""
    lines = []
    machines = {_machine_line(record) for record in records.values()}
    lines += [f"Measured on {line}." for line in sorted(machines)]
    if any(record.quick for record in records.values()):
        lines.append("**Quick run: these numbers only show that everything works.**")
    if any(is_busy(dict(r.quiet), r.machine["cores"]) for r in records.values()):
        lines.append(f"{UNDER_LOAD} Others used the machine during this measurement; ignore the number.")
    missing = [name for name in PARTS if name not in records]
    if missing:
        lines.append(f"Not measured: {', '.join(missing)}.")
    return "\n\n".join(lines)


def _machine_line(record: Record) -> str:
    machine = record.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Python {machine['python']}, "
        f"{versions}; commit {machine['commit']}, {machine['date'][:10]}"
    )
