"""When checkpoints are written and the replay memory is copied, and that neither holds up learning."""

from __future__ import annotations

import time
from collections.abc import Callable

from retro_gamer.errors import EngineError, printable
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.run.directory import EVERY_EPISODES
from retro_gamer.training.loop.backend import Runtime
from retro_gamer.training.loop.checkpointing import Position, Recorder

MEGABYTE = 1000 * 1000
LAST_COPY_SECONDS = 120.0
"""How long the copy at the end of a run may take before the run ends without it."""
WAIT_SECONDS = 0.1
COPY_ERRORS = (EngineError, MemoryError, OSError, ValueError)


class Keeper:
    """Writes a checkpoint every hundred episodes, and every `checkpoint_minutes` one that names a copy of the memory.

    A copy is made beside the learning and comes in pieces; the checkpoint that names it follows once it is whole and
    kept. With `at_once`, for actors in this very process, learning waits for the copy, so that both are of one moment.
    """

    def __init__(
        self,
        recorder: Recorder,
        runtime: Runtime,
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
