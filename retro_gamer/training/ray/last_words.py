"""What a process left behind about its own end: the line of the game in which it crashed or hung."""

from __future__ import annotations

import glob
import os
import re
import tempfile
from pathlib import Path
from typing import IO

from retro_gamer.errors import printable
from retro_gamer.games.loading.importing import is_library

_LARGEST = 100_000
_PREFIX = "retro-gamer"
_ERROR = re.compile(r"^Fatal Python error: (.+)$", re.MULTILINE)
_TIMEOUT = re.compile(r"^Timeout \(", re.MULTILINE)
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)


class LastWords:
    """The file of one playing process, which Python writes to when that process crashes or is ended for hanging.

    It lies on the machine of that process; read from another one, there is nothing to read.
    """

    def __init__(self, token: str, number: int) -> None:
        self.path = Path(tempfile.gettempdir()) / f"{_PREFIX}-{token}-{number}.txt"

    def open(self) -> IO[str]:
        """Return the file, new and empty, open for writing."""
        return open(self.path, "x", encoding="utf-8")

    def take(self) -> str | None:
        """Remove the file and return what it says in one line, None if it says nothing."""
        try:
            with open(self.path, "rb") as file:
                text = file.read(_LARGEST).decode("utf-8", "replace")
            self.path.unlink()
        except FileNotFoundError:
            return None
        return describe_end(text)


def clear_away(token: str) -> None:
    """Remove what processes of that token left on this machine: one killed at its start may have made one since."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}-{glob.escape(token)}-*.txt"):
        path.unlink(missing_ok=True)


def describe_end(text: str) -> str | None:
    """Return ``game.py:12: Segmentation fault`` from what Python's fault handler wrote, None if it wrote nothing."""
    crash = _ERROR.search(text)
    if crash is None and _TIMEOUT.search(text) is None:
        return None
    places = [(file, line) for file, line in _FRAME.findall(text) if not is_library(file)]
    where = f"{os.path.basename(places[0][0])}:{places[0][1]}: " if places else ""
    what = crash[1] if crash else "it did not come back in time (hang_seconds)"
    return printable(f"{where}{what}")
