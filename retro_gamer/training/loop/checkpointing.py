"""Checkpointing: when a checkpoint and a snapshot of replay memory are due, and what a checkpoint holds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from retro_gamer.errors import EngineError, first_line
from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.checkpoint import dump_checkpoint, values_to_match
from retro_gamer.learning.learner import Learner
from retro_gamer.run.directory import EVERY_EPISODES, FINAL, checkpoint_name
from retro_gamer.run.events import (
    Checkpoint,
    EventSink,
    Remark,
    SnapshotBegun,
    SnapshotCommitted,
    SnapshotDiscarded,
    SnapshotPiece,
)
from retro_gamer.run.snapshots import snapshot_name
from retro_gamer.training.loop.backend import Replay
from retro_gamer.training.loop.schedules import epsilon_after


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counters:
    """The counters of a run between two episodes: where training starts, and what a checkpoint holds of them."""

    episodes: int = 0
    turns: int = 0
    slack_turns: int | None = None
    """See `TurnsPerUpdate.slack_turns`; None if replay memory is empty and must be filled first."""
    recent_rewards: tuple[float, ...] = ()
    """Total rewards of the last 100 episodes, for the mean that is shown."""
    largest_reward: float | None = 0.0
    """The largest |reward| of a turn so far; None if an old checkpoint has no such value."""


MEGABYTE = 1000 * 1000
LAST_SNAPSHOT_SECONDS = 120.0
"""The run ends without its last snapshot if that takes longer."""
WAIT_SECONDS = 0.1
SNAPSHOT_ERRORS = (EngineError, MemoryError, OSError, ValueError)


class Checkpointing:
    """Emits a checkpoint every 100 episodes, and every `checkpoint_minutes` a snapshot and a checkpoint that names it.

    Replay is copied while learning continues and arrives in pieces; the checkpoint that names the snapshot follows
    when the last piece is committed. With `is_inline`, where the actors run in this process, learning waits for the
    snapshot, so that it and the checkpoint hold the same moment.
    """

    def __init__(
        self,
        *,
        learner: Learner,
        replay: Replay,
        metadata: GameMetadata,
        settings: Hyperparameters,
        sink: EventSink,
        is_inline: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._learner = learner
        self._replay = replay
        self._metadata = metadata
        self._settings = settings
        self._sink = sink
        self._is_inline = is_inline
        self._clock = clock
        self._limit_bytes = settings.snapshot_megabytes * MEGABYTE
        self._pause_seconds = 60 * settings.checkpoint_minutes
        self._next = clock() + self._pause_seconds
        self._committed: str | None = None
        self._copying: str | None = None
        self._is_owed = False

    def advance(self) -> None:
        """Emit the pieces of a snapshot that are ready."""
        while self._copying is not None and self._emit_piece(0.0):
            pass

    def after_episode(self, counters: Counters) -> None:
        """Emit what is due after this episode. A checkpoint that is owed comes before the next snapshot begins.

        Raises:
            EngineError: if the network holds numbers that are not finite; the checkpoints before stay.
        """
        is_due = counters.episodes % EVERY_EPISODES == 0
        if self._is_owed and self._copying is None:
            self.save(counters)
            self._is_owed = is_due = False
        if self._copying is None and self._clock() >= self._next:
            self._next = self._clock() + self._pause_seconds
            self._begin_snapshot(counters)
            if self._is_inline:
                self._complete_snapshot()
            self._is_owed = self._copying is not None
            is_due = is_due or not self._is_owed
        if is_due:
            self.save(counters)

    def finish(self, counters: Counters, *, is_final: bool) -> str:
        """Emit the last checkpoint at once, and again when its snapshot is committed; return its name.

        Raises:
            EngineError: as `after_episode`.
        """
        name = self.save(counters, is_final=is_final)
        self._begin_snapshot(counters)
        if self._complete_snapshot():
            self.save(counters, is_final=is_final)
        return name

    def save(self, counters: Counters, *, is_final: bool = False) -> str:
        """Emit a checkpoint and return its name: ``final`` or that of the episode.

        Raises:
            EngineError: as `after_episode`.
        """
        name = FINAL if is_final else checkpoint_name(counters.episodes)
        if not self._learner.is_finite:
            raise EngineError(
                f"the network holds numbers that are not finite, so {name} was not written. Resume from an earlier "
                "checkpoint with a smaller learning_rate."
            )
        state = {
            **self._learner.get_state(),
            "epsilon": epsilon_after(counters.episodes, self._settings),
            "episode": counters.episodes,
            "total_turns": counters.turns,
            "slack_turns": counters.slack_turns or 0,
            "recent_rewards": list(counters.recent_rewards),
            "largest_reward": counters.largest_reward,
            "replay_snapshot": self._committed,
            "characters": list(self._learner.characters),
            "spec": dataclasses.asdict(self._learner.spec),
            "must_match": values_to_match(self._metadata, self._settings),
            "player": self._metadata.player,
            "hyperparameters": dataclasses.asdict(self._settings),
        }
        self._sink.handle(Checkpoint(name, dump_checkpoint(state)))
        return name

    def _begin_snapshot(self, counters: Counters) -> None:
        if not self._limit_bytes or not counters.turns:
            return
        try:
            self._replay.begin_snapshot(self._limit_bytes)
        except SNAPSHOT_ERRORS as error:
            self._discard_snapshot(error)
            return
        self._copying = snapshot_name(counters.episodes)
        self._sink.handle(SnapshotBegun(self._copying))

    def _complete_snapshot(self) -> bool:
        """Wait for the last piece of the snapshot that was begun, if one was; return whether it was committed."""
        deadline = self._clock() + LAST_SNAPSHOT_SECONDS
        name = self._copying
        while self._copying is not None:
            if not self._emit_piece(WAIT_SECONDS) and self._copying is not None and self._clock() > deadline:
                self._discard_snapshot(TimeoutError(f"it took more than {LAST_SNAPSHOT_SECONDS:g} seconds"))
        return name is not None and name == self._committed

    def _emit_piece(self, timeout_seconds: float) -> bool:
        """Emit the next piece; return whether there was one and another may follow."""
        try:
            piece = self._replay.next_piece(timeout_seconds)
        except SNAPSHOT_ERRORS as error:
            self._discard_snapshot(error)
            return False
        if piece is None:
            return False
        if piece:
            self._sink.handle(SnapshotPiece(piece))
            return True
        self._sink.handle(SnapshotCommitted())
        self._committed, self._copying = self._copying, None
        return False

    def _discard_snapshot(self, error: Exception) -> None:
        self._copying = None
        self._sink.handle(SnapshotDiscarded())
        text = f"Replay memory could not be saved ({first_line(error)}); a run resumed from here fills it first."
        self._sink.handle(Remark(text))
