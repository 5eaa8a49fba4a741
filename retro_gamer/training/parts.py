"""What the learner of a run is given, and who writes what it makes: from the beginning or from a checkpoint."""

from __future__ import annotations

import dataclasses
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from retro_gamer.errors import RunExistsError
from retro_gamer.games.loading.find import GameSource
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import LATEST, RunDirectory
from retro_gamer.run.snapshots import SnapshotFolder
from retro_gamer.run.writer import DirectoryWriter
from retro_gamer.training.learner_main import LearnerTask
from retro_gamer.training.preparation import PreparedRun, prepare_run, write_down
from retro_gamer.training.resumption import ResumePoint, describe_changes, find_resume_point, fit_to_checkpoint

LEAST_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """The learner's task and the writer for what it sends."""

    task: LearnerTask
    writer: DirectoryWriter


class Parts:
    """Prepares a run once, its game opened, and hands out the first part and those after a learner was lost.

    prepared: the run
    point: the checkpoint that the first part goes on from, None if it begins anew
    """

    def __init__(
        self,
        directory: RunDirectory,
        *,
        resume: str | None,
        n_actors: int | None,
        minutes: float | None,
        factory: Callable[[], Any] | None = None,
        source: GameSource | None = None,
        changes: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Open the game and, with `resume`, the checkpoint it names; then write into config.toml what was found.

        `changes` are hyperparameters in the place of those of config.toml; they are written, too.

        Raises:
            RunExistsError: if the run was trained before and `resume` is None.
            RetroGamerError: whatever is wrong with the run, the game or the checkpoint.
        """
        self._directory = directory
        self._n_actors = n_actors
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._began = math.nan
        self._writer = DirectoryWriter(directory)
        self._has_written = False
        self.point = find_resume_point(directory, resume) if resume is not None else None
        if self.point is None and directory.has_checkpoints:
            raise RunExistsError(
                f"{directory.path} holds checkpoints of an earlier training, which is not trained over.\n"
                f"Go on from the last one:  retro-gamer train {shlex.quote(str(directory.path))} --resume latest\n"
                "or make a new run with:   retro-gamer create --game MODULE --output DIR"
            )
        characters = tuple(self.point.state["characters"]) if self.point else None
        self.prepared = prepare_run(directory, factory, characters, source, changes)
        if self.point:
            fit_to_checkpoint(self.prepared, self.point)
        write_down(self.prepared)

    def first(self) -> Part:
        """Return the part that this sitting begins with; its time runs from now on."""
        self._began = time.monotonic()
        return self._make(self.prepared, self.point, self._seconds)

    def after_loss(self) -> Part:
        """Return the part that goes on from the last checkpoint of this sitting, or from where the first part did.

        Until one is written the run may hold none, or newer ones than that which was asked for.
        """
        seconds = max(LEAST_SECONDS, self._seconds - (time.monotonic() - self._began))
        self._has_written = self._has_written or self._writer.has_written_checkpoint
        if not self._has_written:
            return self._make(self.prepared, self.point, seconds)
        # The character set may have grown since the run was prepared.
        characters = load_config(self._directory.path).metadata.character_set
        metadata = dataclasses.replace(self.prepared.metadata, character_set=characters)
        prepared = dataclasses.replace(self.prepared, metadata=metadata)
        return self._make(prepared, find_resume_point(self._directory, LATEST), seconds)

    def _make(self, prepared: PreparedRun, point: ResumePoint | None, seconds: float) -> Part:
        self._writer = DirectoryWriter(self._directory)
        if point is not None:
            prepared = fit_to_checkpoint(prepared, point)
            self._writer = DirectoryWriter(self._directory, resumed_from=point.file, episodes=point.episodes)
        task = LearnerTask(
            source=prepared.source,
            factory=prepared.factory,
            metadata=prepared.metadata,
            settings=prepared.settings,
            has_player=prepared.discovery.has_player,
            state=point.state if point else None,
            snapshot=_read_snapshot(self._directory, point) if point else b"",
            remarks=tuple(_make_remarks(prepared, point)),
            n_actors=self._n_actors,
            seconds=seconds,
        )
        return Part(task=task, writer=self._writer)


def _read_snapshot(directory: RunDirectory, point: ResumePoint) -> bytes:
    name = point.state.get("replay_snapshot")
    return (SnapshotFolder(directory.path).read(name) or b"") if isinstance(name, str) else b""


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
