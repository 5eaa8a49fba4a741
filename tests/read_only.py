"""A folder on a file system that turns read-only, as a disk with errors or a share that is taken away does.

A second mount of the folder, read-only, is laid over it: whatever is opened by its path from then on is on that one.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path


class Folder:
    """A folder that can be made read-only, for everyone, and writable again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_read_only = False

    def close(self) -> None:
        """Make it read-only.

        Raises:
            OSError: if this machine does not let us.
        """
        _run("mount", "--bind", str(self.path), str(self.path))
        self.is_read_only = True
        _run("mount", "-o", "remount,bind,ro", str(self.path))

    def open(self) -> None:
        """Make it writable, if it is not."""
        if self.is_read_only:
            _run("umount", str(self.path))
            self.is_read_only = False


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def why_not() -> str | None:
    """Return why this machine lets us mount nothing, None if it does: a folder is closed and opened."""
    with tempfile.TemporaryDirectory() as name:
        folder = Folder(Path(name))
        try:
            folder.close()
        except OSError as error:
            return str(error)
        finally:
            folder.open()
    return None
