"""``retro-gamer evaluate``: how good a trained agent is, beside random play."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retro_gamer.cli.options import Debug, RunDir

if TYPE_CHECKING:
    from retro_gamer.evaluation import Evaluation

RANDOM = "random"

Checkpoint = Annotated[
    str | None,
    typer.Option("--checkpoint", metavar="NAME", show_default=False, help="Which one; default: final, or the latest."),
]
AllCheckpoints = Annotated[bool, typer.Option("--all-checkpoints", help="Every checkpoint: the curve of the training.")]
Episodes = Annotated[int, typer.Option("--episodes", metavar="N", min=1, max=1_000_000, help="Games to play.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Seed of the first game.")]
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
    """Play greedy games on seeds of their own, and random ones on the same seeds.

    The score of a game is the change of the rewarded state from its start to its end.
    """
    from retro_gamer.evaluation import evaluate_checkpoints
    from retro_gamer.runs.config import load_config
    from retro_gamer.runs.directory import RunDirectory
    from retro_gamer.training.machine import count_cpus

    run = RunDirectory.open(run_dir)
    config = load_config(run_dir)
    if all_checkpoints:
        run.default_checkpoint()
        names = [file.name for file in run.checkpoints()]
    else:
        names = [run.resolve_checkpoint(checkpoint).name if checkpoint else run.default_checkpoint()[0].name]
    found = evaluate_checkpoints(
        str(run_dir),
        names,
        episodes=episodes,
        seed=seed,
        max_turns=config.hyperparameters.max_turns_per_episode,
        n_processes=count_cpus(),
    )
    if as_json:
        plain = {name or RANDOM: _plain(figures) for name, figures in found.items()}
        typer.echo(json.dumps({"episodes": episodes, "seed": seed, "players": plain}, indent=2, allow_nan=False))
        return
    typer.echo("\n".join(_format(found, config.metadata.reward, episodes, seed)))


def _plain(figures: Evaluation) -> dict[str, Any]:
    values = dataclasses.asdict(figures)
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def _format(found: Mapping[str | None, Evaluation], reward: str, episodes: int, seed: int) -> Iterator[str]:
    yield f'Change of "{reward}" over {episodes} games, seeds from {seed}:'
    yield ""
    yield f"  {'player':<12} {'mean':>10} {'95% +-':>9} {'median':>9} {'best':>9} {'turns':>8}"
    for name, figures in found.items():
        yield (
            f"  {name or RANDOM:<12} {figures.mean:>10.1f} {figures.interval:>9.1f} {figures.median:>9.1f} "
            f"{figures.best:>9.1f} {figures.mean_turns:>8.1f}"
        )
    yield from _format_states(found, reward)
    faults = sum(figures.faults for figures in found.values())
    if faults:
        yield ""
        yield f"  {faults} games were cut short by an error of the game's own."


def _format_states(found: Mapping[str | None, Evaluation], reward: str) -> Iterator[str]:
    keys = sorted({key for figures in found.values() for key in figures.state_means} - {reward})
    if keys:
        yield ""
        yield "  Mean of the other numbers at the end:"
    for key in keys:
        means = ", ".join(
            f"{name or RANDOM} {figures.state_means[key]:.1f}"
            for name, figures in found.items()
            if key in figures.state_means
        )
        yield f"    {key}: {means}"
