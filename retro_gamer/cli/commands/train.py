"""``retro-gamer train``: train a run, or continue its training."""

from __future__ import annotations

import contextlib
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retro_gamer.cli.commands import options
from retro_gamer.errors import UsageError
from retro_gamer.training.planning.allocation import ClusterOptions

if TYPE_CHECKING:
    from retro_gamer.run.events import TrainingOutcome

Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="ADDRESS", show_default=False,
        help="Train on a Ray cluster: auto for the one this machine belongs to, or HOST:6379.",
    ),
]  # fmt: skip


def train(
    run_dir: options.RunDir,
    resume: options.Resume = None,
    actors: options.Actors = None,
    minutes: options.Minutes = None,
    address: Address = None,
    gpus: options.Gpus = 0,
    learner_cpus: options.LearnerCpus = None,
    retries: options.Retries = ClusterOptions.retries,
    wait_seconds: options.WaitSeconds = ClusterOptions.wait_seconds,
    storage: options.StorageUri = None,
    debug: options.Debug = False,
) -> None:
    """Train an agent, or continue its training.

    Ctrl-C stops cleanly and keeps what was learned. With --address, learner, replay memory and actors run on a Ray
    cluster.
    """
    from retro_gamer.cli.display.progress_display import make_display
    from retro_gamer.driver.training_run import train as train_run

    cluster = None
    if address is not None:
        cluster = ClusterOptions(
            address=address, learner_cpus=learner_cpus, gpus=gpus, retries=retries, wait_seconds=wait_seconds
        )
    elif gpus or learner_cpus is not None:
        raise UsageError(
            "--gpus and --learner-cpus reserve resources of a Ray cluster: name the cluster with --address. "
            "To make this machine a cluster, run 'ray start --head' and use --address auto"
        )
    with contextlib.closing(make_display()) as display:
        outcome = train_run(
            run_dir, resume=resume, n_actors=actors, minutes=minutes, display=display, cluster=cluster,
            storage=storage,
        )  # fmt: skip
    typer.echo(describe_outcome(outcome, run_dir))
    if outcome.signal_number is not None:
        raise typer.Exit(128 + outcome.signal_number)


def describe_outcome(outcome: TrainingOutcome, run_dir: Path) -> str:
    """Return how the training ended and which commands may follow."""
    from retro_gamer.cli.display.numbers import clock

    place = shlex.quote(str(run_dir))
    done = (
        f"{outcome.episodes:,} of {outcome.training_episodes:,} episodes, {outcome.turns:,} turns, "
        f"{outcome.updates:,} updates in {clock(outcome.seconds)}."
    )
    is_unfinished = outcome.episodes < outcome.training_episodes
    if outcome.signal_number is not None:
        lines = [f"Stopped by {signal.Signals(outcome.signal_number).name}: {done}"]
    else:
        lines = [f"Stopped at the time limit: {done}" if is_unfinished else f"Trained {done}"]
    if is_unfinished:
        lines.append(f"Continue: retro-gamer train {place} --resume {shlex.quote(outcome.checkpoint)}")
    return "\n".join([*lines, f"Watch:    retro-gamer play {place}", f"Review:   retro-gamer info {place}"])
