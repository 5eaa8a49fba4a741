"""Small games for the tests of the games room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from retro.agent import ArrowKeyAgent
from retro.game import Game

from retro_gamer.games.description import GameMetadata

PLAIN_GAME = """\
from retro.game import Game
from retro.agent import ArrowKeyAgent

def create_game():
    return Game([ArrowKeyAgent()], {"score": 0}, board_size=(5, 4))
"""


@pytest.fixture
def plain_game_text() -> str:
    return PLAIN_GAME


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[..., Path]:
    """Write files, given by their names, into a new folder and return it."""

    def make(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "project" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path / "project"

    return make


class Walker(ArrowKeyAgent):
    """Moves with the arrows and scores a point for every cell it goes to the right."""

    character = "@"

    def try_to_move(self, position, game):  # type: ignore[no-untyped-def]
        old_x = self.position[0]
        super().try_to_move(position, game)
        game.state["score"] += self.position[0] - old_x


def create_walk() -> Game:
    return Game([Walker()], {"score": 0, "lives": 3}, board_size=(5, 4))


@pytest.fixture
def walk() -> Callable[[], Game]:
    return create_walk


@pytest.fixture
def walk_metadata() -> GameMetadata:
    return GameMetadata(
        actions=("KEY_RIGHT", "KEY_LEFT"),
        reward="score",
        character_set=("@",),
        observe_state=("lives",),
        board_size=(5, 4),
    )
