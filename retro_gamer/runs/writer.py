"""Writing a run as it goes on. What is written comes as plain values, for it may come from another machine."""

from __future__ import annotations

from typing import Protocol

from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.log import TrainingLog
from retro_gamer.run.snapshots import SnapshotFile, SnapshotFolder
from retro_gamer.runs.checkpoints import CheckpointFile
from retro_gamer.runs.config_edit import update_config
from retro_gamer.runs.episodes import EpisodeLine


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
