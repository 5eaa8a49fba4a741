"""The run writer: the one way from events to the files of a run, with retries where the disk does not take them."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections import deque
from collections.abc import Callable, Iterator

from retro_gamer.errors import RetroGamerError, StorageError, printable
from retro_gamer.run.config import update_config
from retro_gamer.run.directory import CheckpointFile, RunDirectory
from retro_gamer.run.events import (
    Broadcast,
    CharacterSet,
    Checkpoint,
    EventLogger,
    EventSink,
    Remark,
    RunEvent,
    SnapshotBegun,
    SnapshotCommitted,
    SnapshotDiscarded,
    SnapshotEvent,
    SnapshotPiece,
    Started,
)
from retro_gamer.run.files import write_atomic
from retro_gamer.run.log import EpisodeLine, TrainingLog
from retro_gamer.run.snapshots import SnapshotFile, SnapshotFolder

RETRY_SECONDS = 5.0
MOST_WAITING = 1_000_000
"""Lines that may wait in memory (some hundred megabytes); training ends when there are more."""


class RunWriter:
    """Writes the events of a run into its directory, in their order.

    What cannot be written waits in memory and is retried every 5 seconds: log lines, the newest checkpoint, and the
    character set, which checkpoints do not wait for (a user may be editing config.toml). A snapshot that cannot be
    written is given up.

    A run resumed from a checkpoint is rewound to it when it starts: log lines of later episodes are dropped from the
    log, later checkpoints move aside.

    If the run directory was deleted or replaced, or another trainer has it, training ends. What is left of the run goes
    into a new directory beside it, from which it can be resumed: settings, log, and the last checkpoint.

    display: shows that writing fails, and that it works again
    has_written_checkpoint: whether this writer has written a checkpoint
    """

    def __init__(
        self,
        directory: RunDirectory,
        *,
        resumed_from: CheckpointFile | None = None,
        episodes: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.display: EventSink = EventLogger()
        self.has_written_checkpoint = False
        self._directory = directory
        self._resumed_from = resumed_from
        self._episodes = episodes
        self._clock = clock
        self._log = TrainingLog(directory.log_path)
        self._snapshots = SnapshotFolder(directory.path)
        self._snapshot: SnapshotFile | None = None
        self._lines: deque[EpisodeLine | Remark] = deque()
        self._characters: CharacterSet | None = None
        self._checkpoint: Checkpoint | None = None
        self._config = b""
        self._trouble: OSError | RetroGamerError | None = None
        self._next_try = 0.0

    @contextlib.contextmanager
    def open(self, display: EventSink) -> Iterator[EventSink]:
        """Yield a sink that writes events and shows them in `display`; at the end write what still waits.

        Raises:
            StorageError: if it still cannot be written then.
        """
        self.display = display
        try:
            yield Broadcast(self, display)
        except Exception:
            with contextlib.suppress(OSError, RetroGamerError):  # the display has shown it; the first error matters
                self.finish()
            raise
        else:
            self._finish_or_explain()
        finally:
            self._log.close()

    def handle(self, event: RunEvent) -> None:
        """Write the event, now or later, if it belongs into a file.

        Raises:
            OSError: if the log cannot even be started, or too many lines wait.
            StorageError: if the run directory is no longer that of this training.
        """
        match event:
            case Started():
                self._start(event.text)
            case EpisodeLine() | Remark():
                self._lines.append(event)
                self._write_if_due()
            case CharacterSet():
                self._characters = event
                self._write_if_due()
            case Checkpoint():
                self._checkpoint = event
                loss = self._directory.find_loss()
                if loss is not None:
                    raise self._move(loss)
                self._try_to_write()
            case SnapshotBegun() | SnapshotPiece() | SnapshotCommitted() | SnapshotDiscarded():
                self._try_to_write_snapshot(event)

    def finish(self) -> None:
        """Write everything that waits.

        Raises:
            OSError: if it cannot be written; the files written before are whole.
            RetroGamerError: if config.toml cannot be read.
        """
        self._try_to_write()
        if self._trouble is not None:
            raise self._trouble

    def _start(self, text: str) -> None:
        """Begin or rewind training.log. A run resumed from another run's checkpoint has no log to rewind."""
        self._directory.delete_temporary_files()
        self._config = self._directory.config_path.read_bytes()
        if self._resumed_from is not None:
            self._directory.abandon_after(self._episodes, self._resumed_from)
            if self._directory.log_path.exists():
                self._log.rewind(self._episodes)
                return
        self._log.write_header(text)
        if self._resumed_from is not None:
            self._log.write_remark(f"Resumed at episode {self._episodes}.")

    def _write_if_due(self) -> None:
        if self._trouble is None or self._clock() >= self._next_try:
            self._try_to_write()
        elif len(self._lines) > MOST_WAITING:
            raise self._trouble

    def _try_to_write(self) -> None:
        try:
            self._write_waiting()
        except (OSError, RetroGamerError) as error:
            self._show_trouble(error)
            return
        if self._trouble is not None:
            self._trouble = None
            self.display.handle(Remark("The run directory can be written again; nothing was lost."))

    def _write_waiting(self) -> None:
        while self._lines:
            line = self._lines[0]
            if isinstance(line, Remark):
                self._log.write_remark(line.text)
            else:
                self._log.write_episode(line)
            self._lines.popleft()
        try:
            if self._characters is not None:
                characters = list(self._characters.characters)
                update_config(self._directory.path, {("metadata", "character_set"): characters})
                self._characters = None
                self._config = self._directory.config_path.read_bytes()
        finally:
            if self._checkpoint is not None:
                self._write_checkpoint(self._checkpoint)
                self._checkpoint = None

    def _write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write checkpoints/NAME.pt and delete those between the hundreds that it supersedes."""
        self._directory.write_checkpoint(checkpoint.name, checkpoint.data)
        self.has_written_checkpoint = True
        self._directory.prune_checkpoints()

    def _try_to_write_snapshot(self, event: SnapshotEvent) -> None:
        try:
            self._write_snapshot(event)
        except (OSError, RetroGamerError) as error:
            self._show_trouble(error)
            self._discard_snapshot()

    def _write_snapshot(self, event: SnapshotEvent) -> None:
        """Write a piece, or begin, commit or discard the file; pieces of one given up are ignored."""
        if isinstance(event, SnapshotBegun):
            self._discard_snapshot()
            self._snapshot = self._snapshots.begin(event.name)
        elif isinstance(event, SnapshotDiscarded):
            self._discard_snapshot()
        elif self._snapshot is not None and isinstance(event, SnapshotPiece):
            self._snapshot.write(event.data)
        elif self._snapshot is not None:
            self._snapshot.commit()
            self._snapshots.prune(self._snapshot.name)
            self._snapshot = None

    def _discard_snapshot(self) -> None:
        if self._snapshot is not None:
            self._snapshot.discard()
            self._snapshot = None

    def _show_trouble(self, error: OSError | RetroGamerError) -> None:
        if self._trouble is None:
            text = (
                f"The run directory cannot be written: {_explain(error)}. Training continues; the data waits in memory "
                f"and is retried every {RETRY_SECONDS:g} seconds."
            )
            self.display.handle(Remark(printable(text)))
        self._trouble = error
        self._next_try = self._clock() + RETRY_SECONDS

    def _move(self, loss: str) -> StorageError:
        """Write settings, log and the waiting checkpoint into a new directory; return the error that names it.

        Whatever else is written goes there, too.
        """
        old = self._directory.path
        try:
            new = RunDirectory.make_beside(old)
            write_atomic(new.config_path, self._config)
            self._log.copy_to(new.log_path)
        except OSError as error:
            return StorageError(
                printable(f"{old} {loss} during training, and what was left cannot be saved: {_explain(error)}")
            )
        self._log.close()
        with contextlib.suppress(OSError):
            self._discard_snapshot()
        self._snapshot = self._trouble = None
        self._directory, self._log, self._snapshots = new, TrainingLog(new.log_path), SnapshotFolder(new.path)
        self._try_to_write()
        place = shlex.quote(str(new.path))
        return StorageError(
            printable(
                f"{old} {loss} during training, so training stopped. Settings, log and the last checkpoint are now in "
                f"{new.path}.\nResume: retro-gamer train {place} --resume latest"
            )
        )

    def _finish_or_explain(self) -> None:
        try:
            self.finish()
        except OSError as error:
            raise StorageError(
                f"the end of the run could not be written: {error.strerror or error} ({error.filename or 'a file'})."
                "\nThe files written before are whole. Free some space, then resume: --resume latest"
            ) from error
        except RetroGamerError as error:
            raise StorageError(
                f"the checkpoint was written, but its new characters were not: {error}\n"
                "Fix config.toml, then resume: --resume latest"
            ) from error


def _explain(error: OSError | RetroGamerError) -> str:
    if isinstance(error, RetroGamerError):
        return str(error)
    return f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
