"""Corridors that do something to the process they are played in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.training.corridors import CORRIDOR

_FAULTY = """

import ctypes, os, re, select, signal, sys, threading, time
from pathlib import Path

corridor = create_game
flag = Path({flag!r})
built = 0

{functions}

faults = [{names}]

def find_fault():
    done = len(flag.read_text().splitlines()) if flag.exists() else 0
    if os.getpid() == {driver} or built <= {after} or (done >= len(faults) and not {for_ever}):
        return None
    with flag.open("a") as file:
        file.write(str(os.getpid()) + "\\n")
    return faults[min(done, len(faults) - 1)]

class Faulty:
    display = False

    def play_turn(self, game):
        if game.turn_number == 2 and (fault := find_fault()):
            fault(game)

def create_game():
    global built
    built += 1
    if {in_build} and (fault := find_fault()):
        fault(None)
    game = corridor()
    if not {in_build}:
        game.add_agent(Faulty())
    return game
"""


def make_faulty_game(
    flag: Path, faults: Sequence[str], *, after: int = 4, in_build: bool = False, for_ever: bool = False
) -> str:
    """Return a game that does one of `faults` after another in processes other than this one, each once.

    They come in the second turn of a game, or while one is built, once `after` games were built in that copy of the
    game. `flag` then lists the processes they came in. With `for_ever` the last is done again and again.
    """
    functions = "\n\n".join(f"def fault_{i}(game):\n    {fault}" for i, fault in enumerate(faults))
    return CORRIDOR + _FAULTY.format(
        flag=str(flag), functions=functions, names=", ".join(f"fault_{i}" for i in range(len(faults))),
        after=after, in_build=in_build, for_ever=for_ever, driver=os.getpid(),
    )  # fmt: skip


def line_of(game: str, code: str) -> int:
    """Return the number of the line in which `game` does `code`."""
    return 1 + game.splitlines().index(f"    {code}")


def make_killing_game(flag: Path, after: int) -> str:
    """Return a game that, building its `after`-th game in a process other than this one, kills that process once."""
    return make_faulty_game(flag, ["os.kill(os.getpid(), signal.SIGKILL)"], after=after, in_build=True)
