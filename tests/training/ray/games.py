"""Corridors that do something to the process they are played in."""

from __future__ import annotations

import os
from pathlib import Path

from ..corridors import CORRIDOR

_FAULTY = """

import ctypes, os, re, signal, sys, threading, time
from pathlib import Path

corridor = create_game
built = 0

class Faulty:
    display = False

    def play_turn(self, game):
        if game.turn_number == 2 and is_time():
            fault(game)

def fault(game):
    {fault}

def is_time():
    flag = Path({flag!r})
    if os.getpid() == {driver} or built <= {after} or ({once} and flag.exists()):
        return False
    flag.write_text(str(os.getpid()))
    return True

def create_game():
    global built
    built += 1
    if {in_build} and is_time():
        fault(None)
    game = corridor()
    if not {in_build}:
        game.add_agent(Faulty())
    return game
"""


def make_faulty_game(flag: Path, fault: str, *, after: int = 12, in_build: bool = False, once: bool = True) -> str:
    """Return a game that runs `fault` in a process other than this one, in the second turn of a game or building it.

    It does so after `after` games were built there, once or in each of them; `flag` then holds the process.
    """
    return CORRIDOR + _FAULTY.format(
        flag=str(flag), fault=fault, after=after, in_build=in_build, once=once, driver=os.getpid()
    )


def make_killing_game(flag: Path, after: int) -> str:
    """Return a game that, building its `after`-th game in a process other than this one, kills that process once."""
    return make_faulty_game(flag, "os.kill(os.getpid(), signal.SIGKILL)", after=after, in_build=True)
