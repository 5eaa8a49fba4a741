"""Writing a run that cannot be written for a while: what finds no room, or no whole config.toml, is tried again."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from retro_gamer.errors import RetroGamerError, StorageError, printable
from retro_gamer.run.config import update_config
from retro_gamer.run.directory import CheckpointFile, RunDirectory
from retro_gamer.run.log import EpisodeLine, TrainingLog
from retro_gamer.run.snapshots import SnapshotFile, SnapshotFolder


class RunWriter(Protocol):
    """Takes what the learner has to keep, in the order in which it is to be written.

    All of it is strings, numbers and bytes. Nothing is returned, so that a call may be a message.
    """

    def begin(self, text: str) -> None:
        """Begin this sitting with the description of network and work; nothing is written before."""

    def write_episode(self, line: EpisodeLine) -> None:
        """Keep one completed episode."""

    def write_note(self, text: str) -> None:
        """Keep one remark."""

    def write_checkpoint(self, name: str, data: bytes) -> None:
        """Keep a checkpoint under its name."""

    def write_characters(self, characters: tuple[str, ...]) -> None:
        """Keep the character set as it is from now on."""

    def begin_snapshot(self, name: str) -> None:
        """Begin a snapshot of the replay memory. One that was begun and not committed is forgotten."""

    def add_snapshot_piece(self, piece: bytes) -> None:
        """Add the next piece to the snapshot that was begun."""

    def commit_snapshot(self) -> None:
        """The snapshot is whole: keep it, and remove those that are not needed any more."""

    def discard_snapshot(self) -> None:
        """Forget the snapshot that was begun, if there is one."""


class DirectoryWriter:
    """Writes into the run directory itself.

    Where a run goes on from a checkpoint, the log is rewound to it and what came later moves out of the way when
    the sitting begins.

    has_written_checkpoint: whether any checkpoint was written in this sitting
    """

    def __init__(
        self, directory: RunDirectory, *, resumed_from: CheckpointFile | None = None, episodes: int = 0
    ) -> None:
        self._directory = directory
        self._resumed_from = resumed_from
        self._episodes = episodes
        self._log = TrainingLog(directory.log_path)
        self._snapshots = SnapshotFolder(directory.path)
        self._snapshot: SnapshotFile | None = None
        self.has_written_checkpoint = False

    def begin(self, text: str) -> None:
        """Begin or rewind training.log; one that is not there begins, too, where another run's checkpoint goes on."""
        self._directory.clear_leftovers()
        if self._resumed_from is not None:
            self._directory.abandon_after(self._episodes, self._resumed_from)
            if self._directory.log_path.exists():
                self._log.rewind(self._episodes)
                return
        self._log.write_header(text)
        if self._resumed_from is not None:
            self._log.note(f"Resumed at episode {self._episodes}.")

    def write_episode(self, line: EpisodeLine) -> None:
        """Append the line to training.log."""
        self._log.append(line)

    def write_note(self, text: str) -> None:
        """Append the remark to training.log."""
        self._log.note(text)

    def write_checkpoint(self, name: str, data: bytes) -> None:
        """Write checkpoints/`name`.pt, and remove those between the hundreds that are not needed any more."""
        self._directory.write_checkpoint(name, data)
        self.has_written_checkpoint = True
        self._directory.prune_checkpoints()

    def write_characters(self, characters: tuple[str, ...]) -> None:
        """Write the character set into config.toml."""
        update_config(self._directory.path, {("metadata", "character_set"): list(characters)})

    def begin_snapshot(self, name: str) -> None:
        """Open a file for the snapshot.

        Raises:
            OSError: if it cannot be made.
        """
        self.discard_snapshot()
        self._snapshot = self._snapshots.begin(name)

    def add_snapshot_piece(self, piece: bytes) -> None:
        """Write the piece; without a snapshot that was begun, leave it.

        Raises:
            OSError: if there is no room, say.
        """
        if self._snapshot is not None:
            self._snapshot.write(piece)

    def commit_snapshot(self) -> None:
        """Give the snapshot its name and prune older ones.

        Raises:
            OSError: if it cannot be written.
        """
        if self._snapshot is not None:
            self._snapshot.commit()
            self._snapshots.prune(self._snapshot.name)
            self._snapshot = None

    def discard_snapshot(self) -> None:
        """Remove the snapshot that was begun."""
        if self._snapshot is not None:
            self._snapshot.discard()
            self._snapshot = None


RETRY_SECONDS = 5.0
MOST_WAITING = 1_000_000
"""Lines that are kept in memory at most, some hundred megabytes; training ends when they are more."""


class RetryingWriter:
    """Hands everything on to another writer, in order; what that cannot write waits and is tried again.

    Of checkpoints only the newest waits, and not for a character set: config.toml may be half-edited. A copy of the
    memory that cannot be written is given up.
    `tell` hears, once each time, that writing fails and that it goes on.
    """

    def __init__(
        self, writer: RunWriter, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._writer = writer
        self._tell = tell
        self._clock = clock
        self._lines: deque[EpisodeLine | str] = deque()
        self._checkpoint: tuple[str, bytes] | None = None
        self._characters: tuple[str, ...] | None = None
        self._snapshot_failed = False
        self._trouble: OSError | RetroGamerError | None = None
        self._next_try = 0.0

    def begin(self, text: str) -> None:
        """Begin this sitting; where that cannot be written, training does not start.

        Raises:
            OSError: as the other writer.
        """
        self._writer.begin(text)

    def write_episode(self, line: EpisodeLine) -> None:
        """Write the line, now or later."""
        self._lines.append(line)
        self._try()

    def write_note(self, text: str) -> None:
        """Write the remark, now or later."""
        self._lines.append(text)
        self._try()

    def write_checkpoint(self, name: str, data: bytes) -> None:
        """Write the checkpoint, now or, unless a newer one comes before, later."""
        self._checkpoint = (name, data)
        self._try(at_once=True)

    def write_characters(self, characters: tuple[str, ...]) -> None:
        """Write the character set, now or later."""
        self._characters = characters
        self._try()

    def begin_snapshot(self, name: str) -> None:
        """Begin a snapshot, or give it up."""
        self._snapshot_failed = False
        self._attempt(lambda: self._writer.begin_snapshot(name))

    def add_snapshot_piece(self, piece: bytes) -> None:
        """Add the piece, or give the snapshot up."""
        self._attempt(lambda: self._writer.add_snapshot_piece(piece))

    def commit_snapshot(self) -> None:
        """Commit the snapshot, or give it up: a checkpoint that names it is then resumed without memory."""
        self._attempt(self._writer.commit_snapshot)

    def discard_snapshot(self) -> None:
        """Forget the snapshot."""
        self._attempt(self._writer.discard_snapshot)

    def finish(self) -> None:
        """Write all that waits.

        Raises:
            OSError: if that still cannot be done: what was written before is whole.
            RetroGamerError: if config.toml is still not to be understood.
        """
        self._try(at_once=True)
        if self._trouble is not None:
            raise self._trouble

    def _attempt(self, write: Callable[[], None]) -> None:
        if self._snapshot_failed:
            return
        try:
            write()
        except OSError as error:
            self._snapshot_failed = True
            self._note_trouble(error)
            self._writer.discard_snapshot()

    def _try(self, *, at_once: bool = False) -> None:
        if self._trouble is not None and not at_once and self._clock() < self._next_try:
            if len(self._lines) > MOST_WAITING:
                raise self._trouble
            return
        try:
            self._write_waiting()
        except (OSError, RetroGamerError) as error:
            self._note_trouble(error)
            return
        if self._trouble is not None:
            self._trouble = None
            self._tell("The run directory can be written again; nothing is missing in it.")

    def _write_waiting(self) -> None:
        while self._lines:
            line = self._lines[0]
            if isinstance(line, EpisodeLine):
                self._writer.write_episode(line)
            else:
                self._writer.write_note(line)
            self._lines.popleft()
        try:
            if self._characters is not None:
                self._writer.write_characters(self._characters)
                self._characters = None
        finally:
            if self._checkpoint is not None:
                self._writer.write_checkpoint(*self._checkpoint)
                self._checkpoint = None

    def _note_trouble(self, error: OSError | RetroGamerError) -> None:
        if self._trouble is None:
            self._tell(
                printable(
                    f"The run directory cannot be written: {_explain(error)}. Training goes on; what is to be written "
                    f"waits in memory and is tried again every {RETRY_SECONDS:g} seconds."
                )
            )
        self._trouble = error
        self._next_try = self._clock() + RETRY_SECONDS


def _explain(error: OSError | RetroGamerError) -> str:
    if isinstance(error, RetroGamerError):
        return str(error)
    return f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"


@contextlib.contextmanager
def patience(writer: RunWriter, tell: Callable[[str], None]) -> Iterator[RetryingWriter]:
    """Let what cannot be written wait, at the latest until the end.

    Raises:
        StorageError: if it still cannot be written then.
    """
    patient = RetryingWriter(writer, tell)
    try:
        yield patient
    except Exception:
        with contextlib.suppress(OSError, RetroGamerError):  # told already, and the error is the news
            patient.finish()
        raise
    try:
        patient.finish()
    except OSError as error:
        raise StorageError(
            f"the last of the run could not be written: {error.strerror or error} ({error.filename or 'a file'})."
            "\nEverything written before is whole. Make room, then go on from there: --resume latest"
        ) from error
    except RetroGamerError as error:
        raise StorageError(
            f"the checkpoint is written, the characters it has learned are not: {error}\n"
            "Mend that, then go on from there: --resume latest"
        ) from error
