"""``retro-gamer evaluate``: the scores of a trained agent, with random play as the baseline."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from retro_gamer.cli.commands.options import Checkpoint, Debug, Json, RunDir
from retro_gamer.cli.display.numbers import column_number, count, without_nan
from retro_gamer.errors import UsageError, printable

if TYPE_CHECKING:
    from retro_gamer.evaluation.statistics import Evaluation
    from retro_gamer.run.directory import RunDirectory


AllCheckpoints = Annotated[
    bool, typer.Option("--all-checkpoints", help="Evaluate every checkpoint: the learning curve of the run.")
]
Episodes = Annotated[int, typer.Option("--episodes", metavar="N", min=1, max=1_000_000, help="Games per player.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Seed of the games.")]


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

    The agent plays without exploration, on all cores. The same seed gives the same games; a random player plays them
    too, as a baseline. The score of a game is the change of the reward key from its start to its end.
    """
    if checkpoint is not None and all_checkpoints:
        raise UsageError("--checkpoint and --all-checkpoints exclude each other: give only one of them")
    from retro_gamer.cli.display.progress_display import counting
    from retro_gamer.evaluation.pool import evaluate_checkpoints
    from retro_gamer.run.config import load_config
    from retro_gamer.run.directory import RunDirectory
    from retro_gamer.training.planning.measurements import count_cpus

    config = load_config(run_dir)
    names, note = choose_checkpoints(RunDirectory(run_dir), checkpoint, every=all_checkpoints)
    if note is not None:
        typer.echo(f"Note: {note}.", err=True)
    skipped: list[str] = []
    with counting("Games played", episodes * (1 + len(names))) as show_played:
        found = evaluate_checkpoints(
            str(run_dir),
            names,
            episodes=episodes,
            seed=seed,
            max_turns=config.hyperparameters.max_turns_per_episode,
            n_processes=count_cpus(),
            on_played=show_played,
            on_skipped=skipped.append,
        )
    for reason in skipped:
        typer.echo(f"Note: skipped a checkpoint: {reason}", err=True)
    players = {name or "random": evaluation for name, evaluation in found.items()}
    if as_json:
        report = {"run": str(run_dir), "reward": config.metadata.reward, "seed": seed}
        report["players"] = {name: without_nan(dataclasses.asdict(value)) for name, value in players.items()}
        typer.echo(json.dumps(report, indent=2, allow_nan=False))
    else:
        title = f'Change of "{config.metadata.reward}" in {count(episodes, "game")} per player, seed {seed}:'
        typer.echo(printable("\n".join([title, *format_evaluations(players)])))


def choose_checkpoints(run: RunDirectory, name: str | None, *, every: bool) -> tuple[list[str], str | None]:
    """Return the checkpoints to evaluate, as paths within checkpoints/, and a note if it is not the final one.

    Raises:
        CheckpointNotFoundError: if there is none.
        UsageError: if the path leads out of checkpoints/.
    """
    from retro_gamer.run.directory import SUFFIX

    if name is not None:
        path = run.resolve_checkpoint(name).path
        return [str(path.relative_to(run.checkpoints_dir)).removesuffix(SUFFIX)], None
    latest, note = run.default_checkpoint()
    return ([file.name for file in run.checkpoints()], None) if every else ([latest.name], note)


def format_evaluations(players: Mapping[str, Evaluation]) -> Iterator[str]:
    """Yield a table of the players' scores and a table of the other numbers in the final states, line by line."""
    width = max(12, *map(len, players))
    rows = {name: (e.mean, e.interval, e.median, e.best, e.mean_turns) for name, e in players.items()}
    yield ""
    yield from _format_table(("mean", "95% +-", "median", "best", "turns"), rows, width)
    keys = sorted({key for evaluation in players.values() for key in evaluation.state_means})
    if keys:
        yield ""
        yield "Mean of the other state values at the end of a game:"
        yield ""
        means = {name: tuple(e.state_means.get(key, math.nan) for key in keys) for name, e in players.items()}
        yield from _format_table(keys, means, width)
    for name, evaluation in players.items():
        if evaluation.first_fault is not None:
            yield ""
            yield f"{name}: {count(evaluation.faults, 'game')} failed with an error in the game's code, for example:"
            yield f"  {evaluation.first_fault}"


def _format_table(columns: Sequence[str], rows: Mapping[str, tuple[float, ...]], width: int) -> Iterator[str]:
    texts = {name: [column_number(value) for value in values] for name, values in rows.items()}
    widths = [max(9, len(title), *(len(row[i]) for row in texts.values())) for i, title in enumerate(columns)]
    for name, cells in (("player", columns), *texts.items()):
        yield f"  {name:<{width}}" + "".join(f" {cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
