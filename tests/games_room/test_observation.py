from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.observation import Observation, Observer, flatten


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


def test_code_of_the_game_that_fails_while_it_is_looked_at_is_its_fault(
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
