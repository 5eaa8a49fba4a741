"""Writing a file so that at every moment it is either the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

TEMPORARY = ".tmp-"
"""How the names of files begin that are being written."""


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, durably: after return a power cut does not undo it.

    The data goes first to a neighbour whose name no pattern for checkpoints, logs or settings matches,
    so that what a crash leaves behind is never taken for the real thing.

    Raises:
        OSError: if it cannot be written (disk full, read-only); the old file is then untouched.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name[:100]}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # it is not there, or the file system is read-only
            temporary.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make renames within `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def first_free(directory: Path, stem: str) -> Path:
    """Return the path `directory`/`stem`<n> with the smallest n from 1 on that does not exist."""
    n = 1
    while os.path.lexists(directory / f"{stem}{n}"):
        n += 1
    return directory / f"{stem}{n}"
