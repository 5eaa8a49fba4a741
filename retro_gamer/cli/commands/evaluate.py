"""``retro-gamer evaluate``: how good a trained agent is, beside random play."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retro_gamer.cli.commands.options import Debug, RunDir
from retro_gamer.errors import UsageError, printable

if TYPE_CHECKING:
    from retro_gamer.evaluation.statistics import Evaluation
    from retro_gamer.run.directory import RunDirectory

RANDOM = "random"
COLUMNS = ("mean", "95% +-", "median", "best", "turns")

Checkpoint = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        metavar="NAME",
        show_default=False,
        help="Name of a checkpoint (ep_0100, latest) or path within checkpoints/. Default: final, else the latest.",
    ),
]
AllCheckpoints = Annotated[bool, typer.Option("--all-checkpoints", help="Every checkpoint: the curve of the training.")]
Episodes = Annotated[
    int, typer.Option("--episodes", metavar="N", min=1, max=1_000_000, help="Games each player plays.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Another seed gives other games.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def evaluate(
    run_dir: RunDir,
    checkpoint: Checkpoint = None,
    all_checkpoints: AllCheckpoints = False,
    episodes: Episodes = 100,
    seed: Seed = 1,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how well an agent plays.

    It plays without exploring, on all cores, games that the same seed makes the same again, and random play does
    the same games. The score of a game is the change of the rewarded state from its start to its end.
    """
    if checkpoint is not None and all_checkpoints:
        raise UsageError("--checkpoint names one and --all-checkpoints takes every one: give one of the two")
    from retro_gamer.cli.display.progress_display import Counter
    from retro_gamer.evaluation.pool import evaluate_checkpoints
    from retro_gamer.run.config import load_config
    from retro_gamer.run.directory import RunDirectory
    from retro_gamer.training.planning.measurements import count_cpus

    config = load_config(run_dir)
    names, note = choose_checkpoints(RunDirectory(run_dir), checkpoint, all_checkpoints)
    if note is not None:
        typer.echo(f"Note: {note}.", err=True)
    left_out: list[str] = []
    with Counter("Games played", episodes * (1 + len(names))) as counter:
        found = evaluate_checkpoints(
            str(run_dir),
            names,
            episodes=episodes,
            seed=seed,
            max_turns=config.hyperparameters.max_turns_per_episode,
            n_processes=count_cpus(),
            on_played=counter.show,
            on_left_out=left_out.append,
        )
    for reason in left_out:
        typer.echo(f"Note: one checkpoint is left out: {reason}", err=True)
    players = {name or RANDOM: figures for name, figures in found.items()}
    if as_json:
        told = {"run": str(run_dir), "reward": config.metadata.reward, "seed": seed}
        told["players"] = {name: _plain(figures) for name, figures in players.items()}
        typer.echo(json.dumps(told, indent=2, allow_nan=False))
    else:
        title = f'Change of "{config.metadata.reward}" in {episodes} games each, seed {seed}:'
        typer.echo(printable("\n".join([title, *format_evaluations(players)])))


def choose_checkpoints(run: RunDirectory, name: str | None, every: bool) -> tuple[list[str], str | None]:
    """Return the checkpoints to evaluate, as paths within checkpoints/, and a note if it is not the final one.

    Raises:
        CheckpointNotFoundError: if there is none.
        UsageError: for a path that leads out of checkpoints/.
    """
    from retro_gamer.run.directory import SUFFIX

    if name is not None:
        path = run.resolve_checkpoint(name).path
        return [str(path.relative_to(run.checkpoints_dir)).removesuffix(SUFFIX)], None
    latest, note = run.default_checkpoint()
    return ([file.name for file in run.checkpoints()], None) if every else ([latest.name], note)


def _plain(figures: Evaluation) -> dict[str, Any]:
    values = dataclasses.asdict(figures)
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def format_evaluations(players: Mapping[str, Evaluation]) -> Iterator[str]:
    """Yield the lines of a table of the players' figures, and of one of the other numbers of their games."""
    width = max(12, *map(len, players))
    rows = {name: (f.mean, f.interval, f.median, f.best, f.mean_turns) for name, f in players.items()}
    yield ""
    yield from _format_table("player", COLUMNS, rows, width)
    keys = sorted({key for figures in players.values() for key in figures.state_means})
    if keys:
        yield ""
        yield "Mean of the other numbers at the end:"
        yield ""
        means = {name: tuple(f.state_means.get(key, math.nan) for key in keys) for name, f in players.items()}
        yield from _format_table("player", keys, means, width)
    for name, figures in players.items():
        if figures.first_fault is not None:
            yield ""
            yield f"{name}: {figures.faults} of its games failed by an error of the game's own, one of them so:"
            yield f"  {figures.first_fault}"


def _format_table(
    head: str, columns: tuple[str, ...] | list[str], rows: Mapping[str, tuple[float, ...]], width: int
) -> Iterator[str]:
    texts = {name: [_figure(value) for value in values] for name, values in rows.items()}
    widths = [max(9, len(title), *(len(row[i]) for row in texts.values())) for i, title in enumerate(columns)]
    for name, cells in ((head, columns), *texts.items()):
        yield f"  {name:<{width}}" + "".join(f" {cell:>{w}}" for cell, w in zip(cells, widths, strict=True))


def _figure(value: float) -> str:
    """Return a number with as many decimals as its size deserves, a dash if there is none."""
    if not math.isfinite(value):
        return "-"
    decimals = 1 if abs(value) >= 10 or value == 0 else 2 if abs(value) >= 1 else 4
    return f"{value:,.{decimals}f}"
