from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from retro.agent import ArrowKeyAgent
from retro.examples.snake import create_game
from retro.game import Game

from retro_gamer.errors import ConfigurationError, GameFailedError, UsageError
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.environment import GameEnvironment


def test_the_reference_example_runs_as_written() -> None:
    metadata = GameMetadata.from_pyproject("retro.examples.snake")
    env = GameEnvironment(create_game, metadata)
    obs = env.reset()
    assert obs.shape == (6 * 16 * 32,)
    assert obs.dtype == np.float32
    obs, reward, done = env.step("KEY_RIGHT")
    assert (obs.shape, reward, done in (True, False)) == ((6 * 16 * 32,), 0.0, True)
    assert env.metadata.board_size == (32, 16)


@pytest.mark.parametrize("spatial", [True, False])
def test_the_vector_shows_the_board_and_the_state(
    spatial: bool, walk: Callable[[], Game], walk_metadata: GameMetadata
) -> None:
    metadata = dataclasses.replace(walk_metadata, character_set=("x", "@"), board_size=None, spatial=spatial)
    env = GameEnvironment(walk, metadata)
    env.reset()
    obs, reward, done = env.step("KEY_RIGHT")
    expected = np.zeros(2 * 4 * 5 + 1, dtype=np.float32)
    expected[4 * 5 + 1 if spatial else 3] = 1
    expected[-1] = 3
    np.testing.assert_array_equal(obs, expected)
    assert (reward, done) == (1.0, False)
    assert env.observation.player.tolist() == [1, 0]
    assert env.game.state["score"] == 1


def test_reset_shows_the_board_before_the_first_turn(walk: Callable[[], Game], walk_metadata: GameMetadata) -> None:
    env = GameEnvironment(walk, walk_metadata)
    first = env.reset()
    env.step("KEY_RIGHT")
    np.testing.assert_array_equal(env.reset(), first)
    assert first[0] == 1
    assert env.game.turn_number == 0


def test_a_key_an_index_or_nothing_are_actions(walk: Callable[[], Game], walk_metadata: GameMetadata) -> None:
    env = GameEnvironment(walk, walk_metadata)
    env.reset()
    actions: list[Any] = ["KEY_RIGHT", 0, np.int64(0), 1, None, 2, "KEY_LEFT"]
    assert [env.step(action)[1] for action in actions] == [1, 1, 1, -1, 0, 0, -1]


@pytest.mark.parametrize("action", ["right", "KEY_UP", 3, -1, 1.5, True, b"KEY_RIGHT", ["KEY_RIGHT"]])
def test_an_unknown_action_is_refused_with_those_there_are(
    action: Any, walk: Callable[[], Game], walk_metadata: GameMetadata
) -> None:
    env = GameEnvironment(walk, walk_metadata)
    env.reset()
    with pytest.raises(UsageError, match=r"'KEY_RIGHT', 'KEY_LEFT', an index 0\.\.2, and None"):
        env.step(action)


def test_stepping_needs_a_game(walk: Callable[[], Game], walk_metadata: GameMetadata) -> None:
    env = GameEnvironment(walk, walk_metadata)
    with pytest.raises(UsageError, match=r"call reset\(\)"):
        env.step(None)
    with pytest.raises(UsageError, match=r"call reset\(\)"):
        _ = env.observation
    env.reset()
    env.game.end()
    assert env.step(None)[2] is True
    with pytest.raises(UsageError, match=r"the game is over: call reset\(\)"):
        env.step(None)
    env.reset()
    assert env.step(None)[2] is False


def test_without_a_character_set_one_is_discovered_first() -> None:
    metadata = dataclasses.replace(GameMetadata.from_pyproject("retro.examples.snake"), character_set=None)
    env = GameEnvironment(create_game, metadata, seed=1)
    assert env.metadata.character_set == ("*", "<", ">", "@", "^", "v")
    assert env.reset().shape == (6 * 16 * 32,)
    assert metadata.character_set is None


def test_a_game_that_shows_nothing_is_refused() -> None:
    metadata = GameMetadata(actions=("a",), reward="score")
    with pytest.raises(UsageError, match="no character"):
        GameEnvironment(lambda: Game([], {"score": 0}), metadata, exploration_turns=3)


def test_the_same_seed_gives_the_same_games() -> None:
    metadata = GameMetadata.from_pyproject("retro.examples.snake")

    def play(seed: int | None) -> np.ndarray:
        env = GameEnvironment(create_game, metadata, seed=seed)
        rows = []
        for _ in range(2):
            rows.append(env.reset())
            rows.extend(env.step("KEY_UP")[0] for _ in range(1))
        return np.array(rows)

    np.testing.assert_array_equal(play(3), play(3))
    assert not np.array_equal(play(3), play(4))


def test_without_a_seed_the_global_generators_are_left_to_the_user(
    walk: Callable[[], Game], walk_metadata: GameMetadata
) -> None:
    random.seed(5)
    expected = random.random()
    random.seed(5)
    GameEnvironment(walk, walk_metadata).reset()
    assert random.random() == expected


def test_an_illegal_move_ends_the_game_with_the_last_board() -> None:
    class Faller(ArrowKeyAgent):
        character = "@"
        position: tuple[int, int]

        def play_turn(self, game: Game) -> None:
            self.position = (self.position[0] + 1, 0)
            game.state["score"] += 1

    metadata = GameMetadata(actions=("a",), reward="score", character_set=("@",))
    env = GameEnvironment(lambda: Game([Faller()], {"score": 0}, board_size=(2, 1)), metadata)
    env.reset()
    before, _, _ = env.step(None)
    last, reward, done = env.step(None)
    np.testing.assert_array_equal(last, before)
    assert (reward, done) == (1.0, True)
    assert env.observation.player.tolist() == [1, 0]


def test_a_description_that_does_not_fit_the_game_is_refused(walk: Callable[[], Game]) -> None:
    metadata = GameMetadata(actions=("a",), reward="points", observe_state=("level",))
    with pytest.raises(ConfigurationError) as raised:
        GameEnvironment(walk, metadata)
    assert [problem.field for problem in raised.value.problems] == ["reward", "observe_state"]


def test_faults_of_the_game_are_its_own(walk_metadata: GameMetadata) -> None:
    with pytest.raises(GameFailedError, match="ZeroDivisionError"):
        GameEnvironment(lambda: 1 / 0, walk_metadata)
    with pytest.raises(UsageError, match="must be a function"):
        GameEnvironment(Game([], {}), walk_metadata)
