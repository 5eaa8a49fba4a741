"""Corridors that do something to the process they are played in."""

from __future__ import annotations

import os
from pathlib import Path

from ..corridors import CORRIDOR

_KILLING = """

import os, signal
from pathlib import Path

corridor = create_game
built = 0

def create_game():
    global built
    built += 1
    flag = Path({flag!r})
    if os.getpid() != {driver} and built > {after} and not flag.exists():
        flag.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return corridor()
"""


def make_killing_game(flag: Path, after: int) -> str:
    """Return a game that, building its `after`-th game in a process other than this one, kills that process once."""
    return CORRIDOR + _KILLING.format(flag=str(flag), driver=os.getpid(), after=after)
