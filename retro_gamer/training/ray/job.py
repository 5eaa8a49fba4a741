"""The entry point of a submitted job: the run is put where Ray serves it, and trained there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import ray

from retro_gamer.backends.ray.engine import JoinedRay
from retro_gamer.driver.training_run import train
from retro_gamer.games.loading.find import GameSource
from retro_gamer.jobs.following import FOLDER
from retro_gamer.jobs.package import RUN
from retro_gamer.training.learner_main import TrainingOutcome
from retro_gamer.training.loop.progress import Reporter
from retro_gamer.training.planning.allocation import ClusterOptions


def run_job(
    name: str,
    game: GameSource,
    options: ClusterOptions,
    *,
    resume: str | None,
    n_actors: int | None,
    minutes: float | None,
    storage: str | None,
    reporter: Reporter,
) -> TrainingOutcome:
    """Train the run that came with the package of the job called `name`, and return how it ended.

    It lies below the logs of this node's Ray, and stays there as long as that runs.

    Raises:
        RetroGamerError: see `train`.
    """
    with JoinedRay(options.address):
        run_dir = _logs_folder() / FOLDER / name
        shutil.copytree(RUN, run_dir, dirs_exist_ok=True)
        return train(
            run_dir,
            resume=resume,
            n_actors=n_actors,
            minutes=minutes,
            reporter=reporter,
            cluster=options,
            storage=storage,
            packed_game=game,
            job_name=name,
        )


def _logs_folder() -> Path:
    """Return where this node's Ray keeps its logs, which its dashboard serves."""
    node: Any = ray._private.worker._global_node
    return Path(node.get_logs_dir_path())
