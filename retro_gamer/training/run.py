"""One training run from its directory to its last checkpoint: what `retro-gamer train` does."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from retro_gamer.errors import RunExistsError, StorageError, UsageError
from retro_gamer.games.hanging import HangWatch
from retro_gamer.runs.config import load_config
from retro_gamer.runs.directory import RunDirectory
from retro_gamer.runs.lock import RunLock
from retro_gamer.runs.patience import PatientWriter
from retro_gamer.runs.snapshots import SnapshotFolder
from retro_gamer.runs.writer import DirectoryWriter, RunWriter
from retro_gamer.training.learning import LearnerTask, TrainingOutcome, run_learner
from retro_gamer.training.preparation import PreparedRun, prepare_run
from retro_gamer.training.progress import Reporter
from retro_gamer.training.resumption import ResumePoint, describe_changes, find_resume_point, fit_to_checkpoint
from retro_gamer.training.site import LocalSite
from retro_gamer.training.stopping import StopRequest

__all__ = ["TrainingOutcome", "train"]


def train(
    run_dir: str | Path,
    *,
    resume: str | None = None,
    n_actors: int | None = None,
    minutes: float | None = None,
    reporter: Reporter,
    factory: Callable[[], Any] | None = None,
) -> TrainingOutcome:
    """Train the run in `run_dir` and return how it ended.

    Raises:
        RetroGamerError: whatever is wrong with the run, the game or the machine; see retro_gamer.errors.
    """
    started = time.monotonic()
    _check_options(n_actors, minutes)
    directory = RunDirectory.open(run_dir)
    hang_seconds = load_config(directory.path).hyperparameters.hang_seconds
    with RunLock(directory.path), StopRequest() as stop, HangWatch(hang_seconds):
        prepared, point = _prepare(directory, resume, factory)
        task = _make_task(prepared, point, n_actors, minutes)
        with _patience(_make_writer(directory, point), reporter) as writer:
            outcome = run_learner(task, writer, reporter, stop, LocalSite())
    return dataclasses.replace(outcome, seconds=time.monotonic() - started)


def _check_options(n_actors: int | None, minutes: float | None) -> None:
    if n_actors is not None and n_actors < 0:
        raise UsageError(f"--actors = {n_actors}: must be 0 (this process) or more; try --actors 1")
    if minutes is not None and not (minutes > 0 and math.isfinite(minutes)):
        raise UsageError(f"--minutes = {minutes}: must be more than 0; try --minutes 5")


def _prepare(
    directory: RunDirectory, resume: str | None, factory: Callable[[], Any] | None
) -> tuple[PreparedRun, ResumePoint | None]:
    """Return the run with its game opened and, if it is to go on, the checkpoint that it fits."""
    point = find_resume_point(directory, resume) if resume is not None else None
    if point is None and directory.has_checkpoints:
        raise RunExistsError(
            f"{directory.path} holds checkpoints of an earlier training, which is not trained over.\n"
            f"Go on from the last one:  retro-gamer train {shlex.quote(str(directory.path))} --resume latest\n"
            "or make a new run with:   retro-gamer create --game MODULE --output DIR"
        )
    prepared = prepare_run(directory, factory, tuple(point.state["characters"]) if point else None)
    return (prepared if point is None else fit_to_checkpoint(prepared, point)), point


def _make_task(
    prepared: PreparedRun, point: ResumePoint | None, n_actors: int | None, minutes: float | None
) -> LearnerTask:
    return LearnerTask(
        source=prepared.source,
        factory=prepared.factory,
        metadata=prepared.metadata,
        settings=prepared.settings,
        has_player=prepared.discovery.has_player,
        state=point.state if point else None,
        snapshot=_read_snapshot(prepared.directory, point) if point else b"",
        remarks=tuple(_make_remarks(prepared, point)),
        n_actors=n_actors,
        seconds=math.inf if minutes is None else minutes * 60,
    )


def _read_snapshot(directory: RunDirectory, point: ResumePoint) -> bytes:
    name = point.state.get("replay_snapshot")
    return (SnapshotFolder(directory.path).read(name) or b"") if isinstance(name, str) else b""


def _make_writer(directory: RunDirectory, point: ResumePoint | None) -> DirectoryWriter:
    if point is None:
        return DirectoryWriter(directory)
    return DirectoryWriter(directory, resumed_from=point.file, episodes=point.episodes)


@contextlib.contextmanager
def _patience(writer: RunWriter, reporter: Reporter) -> Iterator[PatientWriter]:
    """Let what cannot be written wait, at the latest until the end.

    Raises:
        StorageError: if it still cannot be written then.
    """
    patient = PatientWriter(writer, reporter.note)
    try:
        yield patient
    except Exception:
        with contextlib.suppress(OSError):  # told already, and the error is the news
            patient.finish()
        raise
    try:
        patient.finish()
    except OSError as error:
        raise StorageError(
            f"the last of the run could not be written: {error.strerror or error} ({error.filename or 'a file'})."
            "\nEverything written before is whole. Make room, then go on from there: --resume latest"
        ) from error


def _make_remarks(prepared: PreparedRun, point: ResumePoint | None) -> Iterator[str]:
    """Yield what a user should know before the first episode."""
    if point is not None:
        for wrong in point.passed_over:
            yield f"A newer checkpoint was passed over: {wrong}"
        yield f"Resumed from {point.file.name} at episode {point.episodes}."
        yield from describe_changes(prepared, point)
        if point.episodes >= prepared.settings.training_episodes:
            yield (
                f"All {prepared.settings.training_episodes} episodes are done, so nothing is left to train. "
                "To go on, raise training_episodes in config.toml."
            )
    found = prepared.discovery
    if found.first_failure is not None:
        yield f"{found.failures} of {found.episodes} random games failed, the first with: {found.first_failure}"
    if prepared.sharing is not None:
        yield f"Each actor plays one game at a time, because {prepared.sharing}."
    if prepared.factory is not None:
        yield (
            "The game was given as a function that cannot be imported. It trains, but to watch the agent with "
            "'retro-gamer play' put the function into a module and name that under [game] in config.toml."
        )
