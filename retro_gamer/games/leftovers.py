"""Temporary folders of processes that were killed, removed by the next process that makes one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time

_SETTLED_SECONDS = 60
"""A folder younger than this may not be held by its maker yet."""


def make_held(prefix: str, parent: str | None) -> str:
    """Make a temporary folder that counts as in use until this process, and what it forks, has ended.

    Those of the same prefix and user that no process holds any more are removed first. A folder is held by the
    operating system's lock on it, which goes with its owner however that dies, in whatever container it lives.
    """
    remove_unheld(prefix, parent or tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix=prefix, dir=parent)
    with contextlib.suppress(OSError):  # a file system without locks: then it is not known to be held
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)
    return folder


def remove_unheld(prefix: str, parent: str) -> None:
    """Remove the user's own folders of that prefix whose makers are gone."""
    try:
        entries = [entry for entry in os.scandir(parent) if entry.name.startswith(prefix)]
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):  # another process is quicker, or does not let us
            status = entry.stat(follow_symlinks=False)
            settled = time.time() - status.st_ctime > _SETTLED_SECONDS
            if entry.is_dir(follow_symlinks=False) and status.st_uid == os.getuid() and settled:
                _remove_if_unheld(entry.path)


def _remove_if_unheld(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
