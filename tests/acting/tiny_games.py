"""Games of one agent whose every turn is a function, for the tests of the actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from retro.game import Game

from retro_gamer.games.description import GameMetadata

WIDTH, HEIGHT = 6, 3

METADATA = GameMetadata(
    actions=("KEY_RIGHT", "KEY_LEFT", "KEY_UP"),
    reward="score",
    character_set=("@", "#"),
    observe_state=("turns",),
    board_size=(WIDTH, HEIGHT),
)

Script = Callable[["Walker", Game], None]


class Walker:
    """Goes right and left with the keys, earning a point to the right; then does what its script says."""

    name = "walker"
    character = "@"
    display = True
    z = 0

    def __init__(self, script: Script) -> None:
        self.position = (2, 1)
        self.script = script

    def handle_keystroke(self, keystroke: Any, game: Game) -> None:
        step = {"KEY_RIGHT": 1, "KEY_LEFT": -1}.get(keystroke.name, 0)
        x = self.position[0] + step
        if 0 <= x < WIDTH:
            self.position = (x, 1)
            game.state["score"] += step

    def play_turn(self, game: Game) -> None:
        game.state["turns"] += 1
        self.script(self, game)


def walks(script: Script) -> Callable[[], Game]:
    """Return a factory of games whose walker follows `script` after each turn."""

    def create_game() -> Game:
        return Game([Walker(script)], {"score": 0, "turns": 0}, board_size=(WIDTH, HEIGHT))

    return create_game


def ends_after(turns: int) -> Script:
    def script(walker: Walker, game: Game) -> None:
        if game.state["turns"] >= turns:
            game.end()

    return script


def raises_at(turn: int, error: BaseException) -> Script:
    def script(walker: Walker, game: Game) -> None:
        if game.state["turns"] == turn:
            raise error

    return script


def never_ends(walker: Walker, game: Game) -> None:
    """Do nothing more."""
