from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from retro.agent import Agent, ArrowKeyAgent
from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.observation import Observation, Observer, PlayerFinder, flatten, label_of


def test_an_observation_holds_board_player_and_state(walk: Callable[[], Game], walk_metadata: GameMetadata) -> None:
    observer, game = Observer(walk_metadata), walk()
    game.agents[0].position = (3, 2)
    observation = observer.observe(game)
    expected = np.zeros((4, 5), dtype=np.uint8)
    expected[2, 3] = 1
    np.testing.assert_array_equal(observation.codes, expected)
    assert observation.player.tolist() == [3, 2]
    assert observation.state.tolist() == [3.0]
    assert (observer.width, observer.height, observer.n_state) == (5, 4, 1)
    dtypes = observation.codes.dtype, observation.player.dtype, observation.state.dtype
    assert dtypes == tuple(map(np.dtype, (np.uint8, np.int16, np.float32)))


def test_observing_into_one_row_of_many_leaves_the_others(
    walk: Callable[[], Game], walk_metadata: GameMetadata
) -> None:
    codes = np.full((3, 4, 5), 9, dtype=np.uint8)
    player, state = np.full((3, 2), 9, dtype=np.int16), np.full((3, 1), 9, dtype=np.float32)
    Observer(walk_metadata).observe_into(walk(), codes[1], player[1], state[1])
    assert codes[1, 0].tolist() == [1, 0, 0, 0, 0]
    assert player.tolist() == [[9, 9], [0, 0], [9, 9]]
    assert state.tolist() == [[9], [3], [9]]
    assert np.all(codes[[0, 2]] == 9)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (True, 1.0),
        (2.5, 2.5),
        (np.int32(-4), -4.0),
        (1e300, 1e30),
        (-(10**300), -1e30),
        (math.nan, 0.0),
        (math.inf, 0.0),
        ("three", 0.0),
        (None, 0.0),
        (10**400, 0.0),
    ],
)
def test_observed_values_are_finite(
    value: Any, read: float, walk: Callable[[], Game], walk_metadata: GameMetadata
) -> None:
    observer, game = Observer(walk_metadata), walk()
    game.state["lives"] = value
    assert observer.observe(game).state[0] == np.float32(read)


def test_a_missing_value_reads_as_zero(walk: Callable[[], Game], walk_metadata: GameMetadata) -> None:
    observer, game = Observer(walk_metadata), walk()
    del game.state["lives"]
    assert [observer.observe(game).state[0] for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("name", ["character_set", "board_size"])
def test_an_unfinished_description_is_refused(name: str, walk_metadata: GameMetadata) -> None:
    with pytest.raises(ValueError, match=name):
        Observer(dataclasses.replace(walk_metadata, **{name: None}))  # type: ignore[arg-type]


def test_code_that_fails_during_an_observation_is_a_failure_of_the_game(
    walk: Callable[[], Game], walk_metadata: GameMetadata
) -> None:
    class Ghost:
        position = (0, 0)

        @property
        def character(self) -> str:
            return "abc"[7]

    game = walk()
    game.agents.append(Ghost())
    with pytest.raises(GameFailedError, match=r"test_observation\.py:\d+: IndexError"):
        Observer(walk_metadata).observe(game)


@pytest.mark.parametrize("spatial", [True, False])
def test_the_flat_vector_has_the_layout_of_the_reference(spatial: bool) -> None:
    rng = np.random.default_rng(0)
    height, width, n_characters = 3, 4, 5
    observation = Observation(
        codes=rng.integers(0, n_characters + 1, (height, width), dtype=np.uint8),
        player=np.array([1, 1], dtype=np.int16),
        state=np.array([0.5, -2], dtype=np.float32),
    )
    expected = np.zeros(n_characters * height * width + 2, dtype=np.float32)
    for y in range(height):
        for x in range(width):
            code = int(observation.codes[y, x])
            if code:
                channel_first = (code - 1) * height * width + y * width + x
                channel_last = (y * width + x) * n_characters + code - 1
                expected[channel_first if spatial else channel_last] = 1
    expected[-2:] = [0.5, -2]
    vector = flatten(observation, n_characters, spatial)
    np.testing.assert_array_equal(vector, expected)
    assert vector.dtype == np.float32


class Wall(Agent):
    """Inherits the framework's empty handler, as every agent of some games does."""


class Hero:
    name = "hero"
    character = "@"
    position = (2, 1)

    def handle_keystroke(self, keystroke: Any, game: Any) -> None:
        self.position = (self.position[0] + 1, self.position[1])


class Twin(Hero):
    name = "twin"


def find(agents: list[Any], described: str | None = None) -> Any:
    return PlayerFinder(described).find(agents)


def cell(*agents: Any) -> tuple[int, int]:
    return PlayerFinder().cell(agents, (10, 6))


def test_the_player_is_the_displayed_agent_that_handles_keys_itself() -> None:
    hero = Hero()
    assert find([Wall(), SimpleNamespace(position=(0, 0)), hero]) is hero
    assert find([Wall(), SimpleNamespace(position=(0, 0))]) is None
    arrows = ArrowKeyAgent()
    assert find([Wall(), arrows]) is arrows


def test_of_several_the_first_displayed_one_is_the_player() -> None:
    hidden, hero, twin = Hero(), Hero(), Twin()
    hidden.display = False  # type: ignore[attr-defined]
    assert find([hidden, hero, twin]) is hero


@pytest.mark.parametrize("described", ["twin", "Twin"])
def test_a_description_names_the_player_by_name_or_class(described: str) -> None:
    hidden, twin = Twin(), Twin()
    hidden.display = False  # type: ignore[attr-defined]
    assert find([Hero(), hidden, twin], described) is twin
    assert find([Hero()], described) is None


def test_the_cell_of_an_agent_of_several_is_the_middle_one() -> None:
    hero = Hero()
    hero.size = (3, 5)  # type: ignore[attr-defined]
    assert cell(hero) == (3, 3)


@pytest.mark.parametrize("position", [(-1, 0), (10, 0), (0, 6), None, "x", (1,)])
def test_off_the_board_there_is_no_cell(position: Any) -> None:
    hero = Hero()
    hero.position = position
    assert cell(hero) == (-1, -1)
    assert cell() == (-1, -1)


def test_the_player_is_found_anew_when_agents_come_and_go() -> None:
    finder = PlayerFinder()
    hero, twin = Hero(), Twin()
    twin.position = (5, 5)
    game = Game([hero, twin], {}, board_size=(10, 6))
    assert finder.cell(game.agents, (10, 6)) == (2, 1)
    game.remove_agent(hero)
    assert finder.cell(game.agents, (10, 6)) == (5, 5)
    game.remove_agent(twin)
    assert finder.cell(game.agents, (10, 6)) == (-1, -1)


def test_a_game_that_makes_new_classes_is_not_kept_in_memory() -> None:
    finder = PlayerFinder()
    for _ in range(1000):
        finder.find([type("Fresh", (), {})()])
    assert len(finder._handles) <= 256


def test_find_all_lists_every_displayed_one() -> None:
    hero, twin = Hero(), Twin()
    assert PlayerFinder().find_all([Wall(), hero, twin]) == [hero, twin]


def test_a_label_is_the_name_or_else_the_class() -> None:
    assert label_of(Hero()) == "hero"
    assert label_of(SimpleNamespace()) == "SimpleNamespace"
