"""Replay snapshots in the run directory: written piece by piece, named by checkpoints, pruned."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import IO

from retro_gamer.run.files import TEMPORARY, check_link, read_file, sync_directory

KEPT = 2
"""The newest checkpoint names the newest snapshot; the checkpoint before it names that or the one before."""
SUFFIX = ".npz"
LARGEST_BYTES = 64_000_000_000
"""Of a snapshot that is read; `snapshot_megabytes` limits those that are written."""
_NAME = re.compile(r"ep_\d{4,}-[0-9a-f]{8}\.npz", re.ASCII)


def snapshot_name(episode: int) -> str:
    """Return a new name for a snapshot of `episode`."""
    return f"ep_{episode:04d}-{secrets.token_hex(4)}{SUFFIX}"


class SnapshotFolder:
    """The folder ``replay`` of a run directory. No two snapshots ever have the same name."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "replay"
        self._run_dir = run_dir

    def begin(self, name: str) -> SnapshotFile:
        """Return a new snapshot to write, with the name `name` (see `snapshot_name`).

        Raises:
            OSError: if it cannot be created.
            StorageError: if the folder is a link that leads out of the run.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a snapshot")
        check_link(self.path, self._run_dir)
        self.path.mkdir(exist_ok=True)
        return SnapshotFile(self.path, name)

    def find(self, name: str) -> Path | None:
        """Return the path of the snapshot `name`, None if it no longer exists."""
        # The name comes from a checkpoint, which a stranger may have made: accept no other path.
        path = self.path / name if _NAME.fullmatch(name) else None
        return path if path is not None and path.is_file() else None

    def read(self, name: str) -> bytes | None:
        """Return the content of the snapshot `name`, None if it no longer exists.

        Raises:
            OSError: if it cannot be read, or is larger than `LARGEST_BYTES`.
        """
        path = self.find(name)
        return read_file(path, LARGEST_BYTES) if path is not None else None

    def prune(self, *keep: str) -> None:
        """Delete all snapshots but the newest, and temporary files. Those in `keep` stay and count as the newest."""
        check_link(self.path, self._run_dir)
        for temporary in self.path.glob(f"{TEMPORARY}*"):
            temporary.unlink(missing_ok=True)
        found = [path for path in self.path.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.name)]
        found.sort(key=lambda path: (path.name in keep, path.stat().st_mtime_ns), reverse=True)
        for path in found[KEPT:]:
            if path.name not in keep:
                path.unlink(missing_ok=True)


class SnapshotFile:
    """A snapshot being written. It gets its name when it is complete and on disk."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._path = folder / name
        self._temporary = folder / f"{TEMPORARY}{name}-{os.getpid()}"
        self._file: IO[bytes] = open(self._temporary, "xb")  # noqa: SIM115  # open from piece to piece

    def write(self, piece: bytes) -> None:
        """Add a piece.

        Raises:
            OSError: if there is no room, for example.
        """
        self._file.write(piece)

    def commit(self) -> None:
        """Give the snapshot its name, durably."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._temporary, self._path)
        sync_directory(self._path.parent)

    def discard(self) -> None:
        """Stop writing and delete the file."""
        with contextlib.suppress(OSError):  # it flushes the buffer, for which there may be no room
            self._file.close()
        with contextlib.suppress(OSError):  # `SnapshotFolder.prune` tries again
            self._temporary.unlink(missing_ok=True)
