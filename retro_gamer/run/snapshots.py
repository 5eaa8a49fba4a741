"""Copies of the replay memory in the run directory: written piece by piece, named by checkpoints, old ones removed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import IO

from retro_gamer.run.files import TEMPORARY, sync_directory

KEPT = 2
"""Snapshots kept: the newest checkpoint names the last of them, and the one to fall back on it or the one before."""
SUFFIX = ".npz"
_NAME = re.compile(r"ep_\d{4,}-[0-9a-f]{8}\.npz", re.ASCII)


def snapshot_name(episode: int) -> str:
    """Return a new name for a snapshot of `episode`."""
    return f"ep_{episode:04d}-{secrets.token_hex(4)}{SUFFIX}"


class SnapshotFolder:
    """The folder ``replay`` of a run directory. A snapshot's name never comes twice, so none is taken for another."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "replay"

    def begin(self, name: str) -> SnapshotFile:
        """Return a new snapshot to write to, which will be called `name` (see `snapshot_name`).

        Raises:
            OSError: if it cannot be made.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"no snapshot may be called {name!r}")
        self.path.mkdir(exist_ok=True)
        return SnapshotFile(self.path, name)

    def find(self, name: str) -> Path | None:
        """Return the file of the snapshot that a checkpoint calls `name`, None if it is not here any more."""
        # The name comes out of a file that may be anybody's: it must be one of ours, and no path.
        path = self.path / name if _NAME.fullmatch(name) else None
        return path if path is not None and path.is_file() else None

    def read(self, name: str) -> bytes | None:
        """Return the snapshot that a checkpoint calls `name`, None if it is not here any more.

        Raises:
            OSError: if it cannot be read.
        """
        path = self.find(name)
        return path.read_bytes() if path is not None else None

    def prune(self, *keep: str) -> None:
        """Remove all but the newest, and what interrupted writing left; `keep` stay and count as the newest."""
        for leftover in self.path.glob(f"{TEMPORARY}*"):
            leftover.unlink(missing_ok=True)
        found = [path for path in self.path.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.name)]
        found.sort(key=lambda path: (path.name in keep, path.stat().st_mtime_ns), reverse=True)
        for path in found[KEPT:]:
            if path.name not in keep:
                path.unlink(missing_ok=True)


class SnapshotFile:
    """A snapshot being written; it has its name only once it is whole and on the disk."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._path = folder / name
        self._temporary = folder / f"{TEMPORARY}{name}-{os.getpid()}"
        self._file: IO[bytes] = open(self._temporary, "xb")  # noqa: SIM115  # open from piece to piece

    def write(self, piece: bytes) -> None:
        """Add a piece.

        Raises:
            OSError: if there is no room, say.
        """
        self._file.write(piece)

    def commit(self) -> None:
        """Give the snapshot its name: from now on it is there, whole, whatever happens."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._temporary, self._path)
        sync_directory(self._path.parent)

    def discard(self) -> None:
        """Give up writing and leave nothing behind."""
        with contextlib.suppress(OSError):  # closing writes what is buffered, for which there may be no room
            self._file.close()
        with contextlib.suppress(OSError):  # nothing may be removed either; `SnapshotFolder.prune` tries again
            self._temporary.unlink(missing_ok=True)
