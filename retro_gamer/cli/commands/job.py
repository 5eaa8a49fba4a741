"""``retro-gamer job``: what a submitted job runs on the cluster. It is no command for people."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from retro_gamer.cli.commands.options import (
    RETRIES,
    WAIT_SECONDS,
    Debug,
    Gpus,
    LearnerCpus,
    Retries,
    StorageUri,
    WaitSeconds,
)
from retro_gamer.cli.commands.train import Actors, Minutes, Resume


def job(
    name: Annotated[str, typer.Argument(help="Name of the job.")],
    game_source: Annotated[str, typer.Argument(help="Where in the package the game is, as JSON.")],
    actors: Actors = None,
    gpus: Gpus = 0,
    learner_cpus: LearnerCpus = None,
    storage: StorageUri = None,
    resume: Resume = None,
    minutes: Minutes = None,
    retries: Retries = RETRIES,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
    debug: Debug = False,
) -> None:
    """Train the run that came with this job's package."""
    from retro_gamer.cli.display.progress_display import make_reporter
    from retro_gamer.driver.training_run import run_job
    from retro_gamer.games.loading.find import GameSource
    from retro_gamer.training.planning.allocation import ClusterOptions

    reporter = make_reporter()
    try:
        outcome = run_job(
            name,
            GameSource(**json.loads(game_source)),
            ClusterOptions(
                address="auto", learner_cpus=learner_cpus, gpus=gpus, retries=retries, wait_seconds=wait_seconds
            ),
            resume=resume,
            n_actors=actors,
            minutes=minutes,
            storage=storage,
            reporter=reporter,
        )
    finally:
        reporter.close()
    if outcome.signal_number is not None:
        raise typer.Exit(128 + outcome.signal_number)
