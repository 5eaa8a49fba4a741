"""Games that count their own turns, so that any trainer is timed the same way, from the game's side.

Imports nothing of this project: it runs in the environments of the peers, where this project is not installed.
"""

import importlib
import os
import time
from collections.abc import Callable
from typing import Any

COUNT_FILE = "TURN_COUNT_FILE"
NOTED_SECONDS = 0.2


class TurnCounter:
    """Appends lines "monotonic-seconds turns games" to the file named by the environment, a few a second."""

    def __init__(self) -> None:
        self.turns = 0
        self.games = 0
        self._next = 0.0
        self._path = os.environ.get(COUNT_FILE)

    def add_turn(self) -> None:
        self.turns += 1
        now = time.monotonic()
        if now >= self._next:
            self._next = now + NOTED_SECONDS
            self.note(now)

    def add_game(self) -> None:
        self.games += 1
        self.note(time.monotonic())

    def note(self, now: float) -> None:
        if self._path:
            with open(self._path, "a") as file:
                file.write(f"{now} {self.turns} {self.games}\n")


def count_turns(module_name: str) -> Callable[[], Any]:
    """Return a create_game that builds the games of that module, their turns counted."""
    create = importlib.import_module(module_name).create_game
    counter = TurnCounter()

    def create_game() -> Any:
        game = create()
        counter.add_game()
        step = game.step

        def counted_step() -> None:
            step()
            counter.add_turn()

        game.step = counted_step
        return game

    return create_game
