"""``retro-gamer train``: train a run, or go on with it."""

from __future__ import annotations

import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retro_gamer.cli.commands.options import (
    RETRIES,
    WAIT_SECONDS,
    Debug,
    Gpus,
    LearnerCpus,
    Retries,
    RunDir,
    StorageUri,
    WaitSeconds,
)
from retro_gamer.errors import UsageError

if TYPE_CHECKING:
    from retro_gamer.driver.training_run import TrainingOutcome

Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="CHECKPOINT",
        show_default=False,
        help="Go on from this checkpoint: a path, or a name such as ep_0300 or latest.",
    ),
]
Actors = Annotated[
    int | None,
    typer.Option(
        "--actors",
        metavar="N",
        min=0,
        max=10_000,
        show_default=False,
        help="Processes that play; 0 trains in this one, repeatably for a seed. Default: what suits machine and game.",
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option("--minutes", metavar="M", show_default=False, help="Stop after so long; games under way are left."),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        show_default=False,
        help="Train on the Ray cluster there: auto for the one this machine belongs to, or HOST:6379.",
    ),
]


def train(
    run_dir: RunDir,
    resume: Resume = None,
    actors: Actors = None,
    minutes: Minutes = None,
    address: Address = None,
    gpus: Gpus = 0,
    learner_cpus: LearnerCpus = None,
    retries: Retries = RETRIES,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
    storage: StorageUri = None,
    debug: Debug = False,
) -> None:
    """Train an agent, or go on training it.

    Ctrl-C stops cleanly and keeps what was learned. With --address the learner, replay and actors run on a cluster.
    """
    if minutes is not None and not 0 < minutes < float("inf"):
        raise UsageError(f"--minutes {minutes}: must be more than 0, such as --minutes 10")
    from retro_gamer.cli.display.progress_display import make_reporter
    from retro_gamer.driver.training_run import train as train_run
    from retro_gamer.training.planning.allocation import ClusterOptions

    cluster = None
    if address is not None:
        cluster = ClusterOptions(
            address=address, learner_cpus=learner_cpus, gpus=gpus, retries=retries, wait_seconds=wait_seconds
        )
    elif gpus or learner_cpus is not None:
        raise UsageError(
            "--gpus and --learner-cpus reserve parts of a Ray cluster: name it with --address. "
            "'ray start --head' makes this machine one; then use --address auto"
        )
    reporter = make_reporter()
    try:
        outcome = train_run(
            run_dir, resume=resume, n_actors=actors, minutes=minutes, reporter=reporter, cluster=cluster,
            storage=storage,
        )  # fmt: skip
    finally:
        reporter.close()
    typer.echo(character_statistics(outcome, run_dir))
    if outcome.signal_number is not None:
        raise typer.Exit(128 + outcome.signal_number)


def character_statistics(outcome: TrainingOutcome, run_dir: Path) -> str:
    """Return what was done and what to type next."""
    from retro_gamer.cli.display.progress_display import clock

    place = shlex.quote(str(run_dir))
    done = (
        f"{outcome.episodes} of {outcome.training_episodes} episodes, {outcome.turns:,} turns, "
        f"{outcome.updates:,} updates"
    )
    lines = []
    if outcome.signal_number is None:
        lines.append(f"Trained {done} in {clock(outcome.seconds)}.")
    else:
        lines.append(f"Stopped by {signal.Signals(outcome.signal_number).name} after {done}.")
    if outcome.episodes < outcome.training_episodes:
        resume = shlex.quote(outcome.checkpoint)
        lines.append(f"Go on:     retro-gamer train {place} --resume {resume}")
    lines.append(f"Watch it:  retro-gamer play {place}")
    lines.append(f"Look back: retro-gamer info {place}")
    return "\n".join(lines)
