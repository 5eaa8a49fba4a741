"""What a run writes while it goes on: log lines, checkpoints and the growing character set."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any, Protocol

from retro_gamer.errors import EngineError, printable
from retro_gamer.features.spec import SIZES
from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.checkpoint import dump_checkpoint
from retro_gamer.learning.learner import Learner
from retro_gamer.run.directory import EVERY_EPISODES, FINAL, checkpoint_name
from retro_gamer.run.log import EpisodeLine
from retro_gamer.run.snapshots import snapshot_name
from retro_gamer.run.writer import RunWriter
from retro_gamer.training.loop.backend import WorkerPool
from retro_gamer.training.loop.schedules import epsilon_after

MUST_MATCH = ("actions", "reward", "spatial", "observe_state", "board_size", "observe")
MUST_MATCH_SETTINGS = SIZES


@dataclasses.dataclass(frozen=True, kw_only=True)
class Position:
    """Where a run stands: what a checkpoint says beside the network."""

    episodes: int
    turns: int
    slack_turns: int = 0
    """See `TurnsPerUpdate.slack_turns`."""
    recent_rewards: tuple[float, ...] = ()
    """Total rewards of the last episodes, for the mean that is shown."""
    largest_reward: float = 0.0
    """The largest |reward| of a turn so far, for what is said of values."""


class Recorder(Protocol):
    """Takes what the training loop has to record."""

    def write_episode(self, line: EpisodeLine) -> None:
        """Record one completed episode."""

    def write_note(self, text: str) -> None:
        """Record one remark."""

    def write_checkpoint(self, position: Position) -> str:
        """Record everything needed to go on from here, and return under which name."""

    def write_final(self, position: Position) -> str:
        """Record the same as the run's last."""

    def begin_snapshot(self, episodes: int) -> None:
        """Begin to record a copy of the memory."""

    def add_snapshot_piece(self, piece: bytes) -> None:
        """Record a piece of it."""

    def commit_snapshot(self) -> None:
        """The copy is whole: checkpoints from now on name it."""

    def discard_snapshot(self) -> None:
        """Forget the copy that was begun."""

    def extend_characters(self, characters: tuple[str, ...]) -> None:
        """Record that the character set has grown."""


def describe_fit(metadata: GameMetadata, settings: Hyperparameters) -> dict[str, Any]:
    """Return what a checkpoint and a configuration must agree on, as plain values."""
    described = metadata.to_mapping()
    fit: dict[str, Any] = {name: described.get(name) for name in MUST_MATCH}
    if metadata.end is not None:
        fit["reward"] = f"{metadata.reward} {json.dumps(dict(metadata.end))}"
    fit["observe_state"] = list(metadata.observe_state)
    fit["spatial"] = metadata.spatial
    fit.update({name: getattr(settings, name) for name in MUST_MATCH_SETTINGS})
    return fit


class LearnerRecorder:
    """Makes plain values of what the learner has to record, and hands them to whoever writes."""

    def __init__(self, writer: RunWriter, learner: Learner, metadata: GameMetadata, settings: Hyperparameters) -> None:
        self._writer = writer
        self._learner = learner
        self._metadata = metadata
        self._settings = settings
        self._snapshot: str | None = None
        self._next_snapshot: str | None = None

    def write_episode(self, line: EpisodeLine) -> None:
        """Hand on the line."""
        self._writer.write_episode(line)

    def write_note(self, text: str) -> None:
        """Hand on the remark."""
        self._writer.write_note(text)

    def write_checkpoint(self, position: Position) -> str:
        """Hand on the bytes of ep_NNNN and return that name.

        Raises:
            EngineError: if the network holds numbers that are not finite; what was kept before stays.
        """
        return self._write(checkpoint_name(position.episodes), position)

    def write_final(self, position: Position) -> str:
        """Hand on the bytes of ``final`` and return that name.

        Raises:
            EngineError: as `write_checkpoint`.
        """
        return self._write(FINAL, position)

    def begin_snapshot(self, episodes: int) -> None:
        """Hand on a new name for a snapshot."""
        self._next_snapshot = snapshot_name(episodes)
        self._writer.begin_snapshot(self._next_snapshot)

    def add_snapshot_piece(self, piece: bytes) -> None:
        """Hand on the piece."""
        self._writer.add_snapshot_piece(piece)

    def commit_snapshot(self) -> None:
        """Hand on that it is whole; what is handed on later is written later, so checkpoints may name it."""
        self._writer.commit_snapshot()
        self._snapshot, self._next_snapshot = self._next_snapshot, None

    def discard_snapshot(self) -> None:
        """Hand on that it will not be."""
        self._writer.discard_snapshot()
        self._next_snapshot = None

    def extend_characters(self, characters: tuple[str, ...]) -> None:
        """Hand on the character set."""
        self._writer.write_characters(characters)

    def _write(self, name: str, position: Position) -> str:
        if not self._learner.is_finite:
            raise EngineError(
                f"the network holds numbers that are not finite, so {name} was not written. Resume from an earlier "
                "checkpoint with a smaller learning_rate."
            )
        state = {
            **self._learner.get_state(),
            "epsilon": epsilon_after(position.episodes, self._settings),
            "episode": position.episodes,
            "total_turns": position.turns,
            "slack_turns": position.slack_turns,
            "recent_rewards": list(position.recent_rewards),
            "largest_reward": position.largest_reward,
            "replay_snapshot": self._snapshot,
            "characters": list(self._learner.characters),
            "spec": dataclasses.asdict(self._learner.spec),
            "must_match": describe_fit(self._metadata, self._settings),
            "player": self._metadata.player,
            "hyperparameters": dataclasses.asdict(self._settings),
        }
        self._writer.write_checkpoint(name, dump_checkpoint(state))
        return name


MEGABYTE = 1000 * 1000
LAST_COPY_SECONDS = 120.0
"""How long the copy at the end of a run may take before the run ends without it."""
WAIT_SECONDS = 0.1
COPY_ERRORS = (EngineError, MemoryError, OSError, ValueError)


class CheckpointKeeper:
    """Writes a checkpoint every hundred episodes, and every `checkpoint_minutes` one that names a copy of the memory.

    A copy is made beside the learning and comes in pieces; the checkpoint that names it follows once it is whole and
    kept. With `at_once`, for actors in this very process, learning waits for the copy, so that both are of one moment.
    """

    def __init__(
        self,
        recorder: Recorder,
        runtime: WorkerPool,
        settings: Hyperparameters,
        note: Callable[[str], None],
        *,
        at_once: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recorder = recorder
        self._runtime = runtime
        self._limit_bytes = settings.snapshot_megabytes * MEGABYTE
        self._pause_seconds = 60 * settings.checkpoint_minutes
        self._note = note
        self._at_once = at_once
        self._clock = clock
        self._next = clock() + self._pause_seconds
        self._is_copying = False
        self._is_due = False
        self._has_failed = False

    def advance(self) -> None:
        """Hand on the pieces of a copy that are ready."""
        while self._is_copying and self._hand_on_piece(0.0):
            pass

    def after_episode(self, position: Position) -> None:
        """Write what is to be written at this episode. A checkpoint that is owed comes before another copy begins."""
        is_to_be_written = position.episodes % EVERY_EPISODES == 0
        if self._is_due and not self._is_copying:
            self._recorder.write_checkpoint(position)
            self._is_due = is_to_be_written = False
        if not self._is_copying and self._clock() >= self._next:
            self._next = self._clock() + self._pause_seconds
            self._begin_copy(position)
            if self._at_once:
                self._complete_copy()
            self._is_due = self._is_copying
            is_to_be_written = is_to_be_written or not self._is_copying
        if is_to_be_written:
            self._recorder.write_checkpoint(position)

    def finish(self, position: Position, *, final: bool) -> str:
        """Write the last checkpoint, at first without a copy of what is remembered now, and return its name."""
        write = self._recorder.write_final if final else self._recorder.write_checkpoint
        name = write(position)
        self._begin_copy(position)
        if self._complete_copy():
            write(position)
        return name

    def _begin_copy(self, position: Position) -> None:
        self._has_failed = False
        if not self._limit_bytes or not position.turns:
            return
        try:
            self._runtime.begin_snapshot(self._limit_bytes)
        except COPY_ERRORS as error:
            self._give_up(error)
            return
        self._recorder.begin_snapshot(position.episodes)
        self._is_copying = True

    def _complete_copy(self) -> bool:
        deadline = self._clock() + LAST_COPY_SECONDS
        began = self._is_copying
        while self._is_copying:
            if not self._hand_on_piece(WAIT_SECONDS) and self._is_copying and self._clock() > deadline:
                self._give_up(TimeoutError(f"it took more than {LAST_COPY_SECONDS:g} seconds"))
                return False
        return began and not self._has_failed

    def _hand_on_piece(self, timeout_seconds: float) -> bool:
        """Hand on the next piece; return whether there was one and another may follow."""
        try:
            piece = self._runtime.next_piece(timeout_seconds)
        except COPY_ERRORS as error:
            self._give_up(error)
            return False
        if piece is None:
            return False
        if piece:
            self._recorder.add_snapshot_piece(piece)
            return True
        self._recorder.commit_snapshot()
        self._is_copying = False
        return False

    def _give_up(self, error: Exception) -> None:
        self._is_copying, self._has_failed = False, True
        self._recorder.discard_snapshot()
        self._note(printable(f"The memory could not be copied ({error}); a run resumed from here fills it anew."))
