"""One training run from its directory to its last checkpoint: what `retro-gamer train` does."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from retro_gamer.backends.inline import InlineBackend
from retro_gamer.errors import RetroGamerError
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.loading.watchdog import Watchdog
from retro_gamer.jobs.client import protect_token_file
from retro_gamer.jobs.following import FOLDER
from retro_gamer.jobs.package import RUN, plan_package
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import Broadcast, EventSink, Failed, Remark, TrainingOutcome
from retro_gamer.run.files import RunLock
from retro_gamer.run.mirror import Mirror, Storage
from retro_gamer.run.status import StatusPublisher
from retro_gamer.training.learner_main import run_learner
from retro_gamer.training.loop.backend import Backend
from retro_gamer.training.loop.end_conditions import StopRequest
from retro_gamer.training.planning.allocation import ClusterOptions, check_options
from retro_gamer.training.preparation import Attempt, Attempts, prepare

__all__ = ["TrainingOutcome", "train"]


def train(
    run_dir: str | Path,
    *,
    resume: str | None = None,
    n_actors: int | None = None,
    minutes: float | None = None,
    display: EventSink,
    factory: Callable[[], Any] | None = None,
    cluster: ClusterOptions | None = None,
    storage: str | None = None,
    packed_game: GameSource | None = None,
    job_name: str | None = None,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> TrainingOutcome:
    """Train the run in `run_dir` and return how it ended.

    With `cluster`, learner, replay and actors run there, and this process writes what they send. `storage` is where the
    run is mirrored. In the entry point of a job `job_name` is its name, and `packed_game` is where the game is in its
    working directory. `changes` are hyperparameters; they are written to config.toml after all checks have passed.

    Raises:
        RetroGamerError: for anything wrong with the run, the game, the machine or the cluster; see retro_gamer.errors.
    """
    started = time.monotonic()
    check_options(n_actors, minutes, cluster)
    directory = RunDirectory.open(run_dir)
    source = packed_game.located(os.getcwd()) if packed_game else None
    with RunLock(directory.path) as lock, StopRequest() as stop:
        directory.lock = lock
        config = load_config(directory.path).changed(changes)
        with (
            Watchdog(config.hyperparameters.hang_seconds),
            _publishing(display, directory, storage, job_name) as display,
        ):
            prepared, point = prepare(directory, config, resume=resume, factory=factory, source=source)
            attempts = Attempts(prepared, point, n_actors=n_actors, minutes=minutes)
            if cluster is None:
                outcome = _train_here(attempts.next(), display, stop)
            else:
                outcome = _train_on_cluster(attempts, cluster, packed_game, display, stop)
            outcome = dataclasses.replace(outcome, seconds=time.monotonic() - started)
            display.handle(outcome)
    return outcome


@contextlib.contextmanager
def _publishing(
    display: EventSink, directory: RunDirectory, storage: str | None, job_name: str | None
) -> Iterator[EventSink]:
    """Yield a sink that also writes status.json, if another machine follows the run, and mirrors to the storage.

    Raises:
        UsageError, ClusterError: if there is no such storage, or it denies access.
    """
    if storage is None and job_name is None:
        yield display
        return
    display = Broadcast(display, StatusPublisher(directory, job_name))
    if storage is None:
        with _failures_emitted(display):
            yield display
        return
    with Mirror(directory.path, Storage(storage), display) as mirror, _failures_emitted(display):
        yield Broadcast(display, mirror)


@contextlib.contextmanager
def _failures_emitted(sink: EventSink) -> Iterator[None]:
    try:
        yield
    except RetroGamerError as error:
        sink.handle(Failed(error))
        raise


def _train_here(attempt: Attempt, display: EventSink, stop: StopRequest) -> TrainingOutcome:
    backend = _choose_local_backend(attempt.task.n_actors)
    with attempt.writer.open(display) as sink:
        return run_learner(attempt.task, sink, stop, backend)


def _choose_local_backend(n_actors: int | None) -> Backend:
    if n_actors == 0:
        return InlineBackend()
    # Ray takes most of a second to import, and training in this process does not need it.
    from retro_gamer.backends.ray.backends import LocalRayBackend

    return LocalRayBackend()


def _train_on_cluster(
    attempts: Attempts, cluster: ClusterOptions, packed_game: GameSource | None, display: EventSink, stop: StopRequest
) -> TrainingOutcome:
    # Ray takes most of a second to import, and training in this process does not need it.
    from retro_gamer.backends.ray.engine import join_ray
    from retro_gamer.backends.ray.supervisor import Supervisor

    if packed_game is not None:
        with join_ray(cluster.address):
            return Supervisor(cluster, attempts, packed_game, display, stop).run()
    remark = protect_token_file()
    if remark is not None:
        display.handle(Remark(remark))
    with (
        _packed(attempts.prepared.run_spec.source, display) as (game, package),
        join_ray(cluster.address, {"working_dir": str(package)}),
    ):
        return Supervisor(cluster, attempts, game, display, stop).run()


@contextlib.contextmanager
def _packed(source: GameSource | None, display: EventSink) -> Iterator[tuple[GameSource | None, Path]]:
    """Write the package for every node; yield its path, and where in it the game is."""
    package = plan_package(source)
    if package.left_out:
        names = ", ".join(package.left_out)
        display.handle(Remark(f"Not sent to the cluster, because they are large: {names}."))
    with tempfile.TemporaryDirectory(prefix="retro-gamer-") as folder:
        path = Path(folder) / "package.zip"
        package.write(path)
        yield package.source, path


def run_job(
    name: str,
    game: GameSource,
    options: ClusterOptions,
    *,
    resume: str | None,
    n_actors: int | None,
    minutes: float | None,
    storage: str | None,
    display: EventSink,
) -> TrainingOutcome:
    """Train the run in the package of the job `name`, and return how it ended.

    The run directory is among the logs of this node's Ray, whose dashboard serves it, until that Ray ends.

    Raises:
        RetroGamerError: see `train`.
    """
    from retro_gamer.backends.ray.engine import join_ray, logs_folder

    with join_ray(options.address):
        run_dir = logs_folder() / FOLDER / name
        shutil.copytree(RUN, run_dir, dirs_exist_ok=True)
        return train(
            run_dir,
            resume=resume,
            n_actors=n_actors,
            minutes=minutes,
            display=display,
            cluster=options,
            storage=storage,
            packed_game=game,
            job_name=name,
        )
