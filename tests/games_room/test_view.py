"""The visible window as what the agent sees."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from blessed import Terminal
from retro.game import Game
from retro.views.terminal import TerminalView

from retro_gamer import GameEnvironment
from retro_gamer.errors import GameFailedError
from retro_gamer.games.board import BoardEncoder
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.game_rules import read_board_size
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.observation import Observer
from tests.games_room.test_board import CHARACTERS, random_agent

GAMES = Path(__file__).parents[1] / "games"


def framework_window(game: Any) -> list[list[str]]:
    """What the framework's terminal view shows of a fresh board, without colours."""
    game._position_cache = None
    positions = game.get_agents_by_position()
    view = TerminalView(Terminal(stream=None, force_styling=None))
    shown = view.get_board_view(positions, game.view_position, game.view_size)
    game._position_cache = None
    width, height = game.view_size
    return [[shown.get((x, y), " ") for x in range(width)] for y in range(height)]


def test_thousands_of_random_windows_equal_the_frameworks() -> None:
    rng = random.Random(2)
    encoders: dict[tuple[int, int], BoardEncoder] = {}
    for _ in range(3000):
        width, height = rng.randint(3, 12), rng.randint(3, 10)
        size = (rng.randint(1, width), rng.randint(1, height))
        position = (rng.randint(-2, width), rng.randint(-2, height))
        game = Game([], {}, board_size=(width, height), view_size=size, view_position=position)
        game.agents = [random_agent(rng, width, height) for _ in range(rng.randint(0, 12))]
        encoder = encoders.setdefault(size, BoardEncoder(CHARACTERS, size, view=True))
        codes = np.full((size[1], size[0]), 77, dtype=np.uint8)
        encoder.unknown = {}
        encoder.encode(game, codes)
        code_of = {character: code for code, character in enumerate(CHARACTERS, start=1)}
        expected = [[code_of.get(cell, 0) for cell in row] for row in framework_window(game)]
        np.testing.assert_array_equal(codes, expected)


def test_the_player_is_where_it_is_in_the_window() -> None:
    metadata = GameMetadata(
        actions=("KEY_RIGHT",), reward="trees", character_set=("E", "T"), observe="view", board_size=(20, 10)
    )
    game = load_factory(find_source(str(GAMES / "wide_world")))()
    observer = Observer(metadata)
    observation = observer.observe(game)
    assert observation.codes.shape == (10, 20)
    assert observation.player.tolist() == [10, 5]
    assert observation.codes[5, 10] == 1
    tree = next(agent for agent in game.agents if agent.character == "T")
    tree.position = (52, 26)
    assert observer.cell(game, tree) == (2, 1)
    tree.position = (49, 26)
    assert observer.cell(game, tree) == (-1, -1)
    tree.position, tree.display = (52, 26), False
    assert observer.cell(game, tree) == (-1, -1)


def test_an_environment_of_the_window() -> None:
    metadata = GameMetadata(actions=("KEY_RIGHT",), reward="trees", character_set=("E", "T"), observe="view")
    env = GameEnvironment(load_factory(find_source(str(GAMES / "wide_world"))), metadata, seed=1)
    assert env.metadata.board_size == (20, 10)
    assert env.reset().shape == (2 * 10 * 20,)
    env.step("KEY_RIGHT")
    assert env.observation.player.tolist() == [10, 5]  # the window has followed


def test_the_size_of_the_window_is_checked() -> None:
    assert read_board_size(SimpleNamespace(board_size=(9, 9), view_size=(3, 2)), view=True) == (3, 2)
    with pytest.raises(GameFailedError, match="view_size is None"):
        read_board_size(SimpleNamespace(board_size=(9, 9), view_size=None), view=True)


def test_the_labyrinth_is_described_by_its_window() -> None:
    metadata = GameMetadata.from_pyproject("retro.examples.labyrinth")
    assert metadata.sees_view
    assert metadata.to_mapping()["observe"] == "view"
    assert not dataclasses.replace(metadata, observe="board").sees_view
