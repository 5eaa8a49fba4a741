"""How much memory this process has gained since a moment: games that leak are found out by it."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

MEGABYTE = 1000 * 1000
_STATM = Path("/proc/self/statm")


class Growth:
    """Compares the memory of this process with what it was when this was made."""

    def __init__(self, limit_megabytes: float) -> None:
        self._limit_bytes = limit_megabytes * MEGABYTE
        self._began_bytes = resident_bytes()

    def find_excess(self) -> str | None:
        """Return in words by how much the process has outgrown the limit, None if it has not."""
        gained = resident_bytes() - self._began_bytes
        if gained <= self._limit_bytes:
            return None
        return (
            f"it had grown by {gained / MEGABYTE:,.0f} MB (the game seems to keep what it builds; "
            f"actor_growth_megabytes = {self._limit_bytes / MEGABYTE:g})"
        )


def resident_bytes() -> int:
    """Return the memory that this process holds; where only the largest it ever held is known, that."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest
