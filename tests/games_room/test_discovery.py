from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from retro.agent import ArrowKeyAgent
from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.launcher import find_source, load_factory
from retro_gamer.games.random_play import discover
from retro_gamer.games.session import GameSession

METADATA = GameMetadata(actions=("KEY_RIGHT", "KEY_LEFT"), reward="score")


def test_the_characters_of_the_examples_are_found_sorted() -> None:
    beast = discover(load_factory(find_source("retro.examples.beast")), METADATA, turns=5, seed=1)
    assert beast.characters == ("*", "H", "█")
    assert (beast.turns, beast.has_player, beast.player, beast.failures) == (5, True, None, 0)
    factory = load_factory(find_source("retro.examples.snake"))
    snake = discover(factory, GameMetadata.from_pyproject("retro.examples.snake"), turns=200, seed=1)
    assert snake.characters == ("*", "<", ">", "@", "^", "v"), "with seed 1 an apple is eaten, so there is a tail"
    assert snake.episodes > 1


def test_the_same_seed_finds_the_same() -> None:
    def build() -> Game:
        agent = ArrowKeyAgent()
        agent.character = chr(random.randrange(0x4E00, 0x5000))
        return Game([agent], {"score": 0})

    first, second = (discover(build, METADATA, 60, seed=4, max_turns_per_episode=3) for _ in range(2))
    assert first == second
    assert (first.episodes, len(first.characters)) == (20, len(set(first.characters)))
    assert discover(build, METADATA, 60, seed=5, max_turns_per_episode=3) != first


def test_of_too_many_characters_the_most_frequent_are_kept() -> None:
    numbers = itertools.count()

    class Chameleon(ArrowKeyAgent):
        def play_turn(self, game: Game) -> None:
            self.character = chr(0x4E00 + next(numbers) % 300)

    class Rock:
        character, position = "#", (1, 1)

    found = discover(lambda: Game([Chameleon(), Rock()], {"score": 0}), METADATA, 320, seed=1)
    assert len(found.characters) == 254
    assert "#" in found.characters
    assert list(found.characters) == sorted(found.characters)
    assert {chr(0x4E00 + i) for i in range(20)} <= set(found.characters)


class Hero(ArrowKeyAgent):
    name = "hero"
    character = "@"


class Drifter:
    """Has a handler but moves by itself."""

    name = "drifter"
    character = "d"
    position = (5, 5)

    def handle_keystroke(self, keystroke: Any, game: Game) -> None:
        game.state["keys"] += 1

    def play_turn(self, game: Game) -> None:
        self.position = (5 + game.turn_number % 2, 5)


def test_of_several_that_handle_keys_the_one_that_keys_move_is_the_player() -> None:
    def build() -> Game:
        return Game([Drifter(), Hero()], {"score": 0, "keys": 0})

    assert discover(build, METADATA, 100, seed=1).player == "hero"
    described = GameMetadata(actions=("KEY_RIGHT",), reward="score", player="drifter")
    found = discover(build, described, 20, seed=1)
    assert (found.player, found.has_player) == (None, True)


def test_a_game_without_a_player_is_said_to_have_none() -> None:
    class Rock:
        character, position = "#", (1, 1)

    found = discover(lambda: Game([Rock()], {"score": 0}), METADATA, 5, seed=None)
    assert (found.has_player, found.player, found.characters) == (False, None, ("#",))


def flaky(fail_at_turn: int, fail_build: Callable[[int], bool] = lambda number: False) -> Callable[[], Game]:
    numbers = itertools.count(1)

    class Fuse:
        character, position = "f", (0, 0)

        def play_turn(self, game: Game) -> None:
            if game.turn_number == fail_at_turn:
                raise RuntimeError("out of luck")

    def build() -> Game:
        if fail_build(next(numbers)):
            raise RuntimeError("not built")
        return Game([Fuse()], {"score": 0})

    return build


def test_a_game_that_fails_now_and_then_is_still_explored() -> None:
    found = discover(flaky(4), METADATA, 30, seed=1)
    assert (found.turns, found.episodes, found.failures) == (
        30,
        10,
        9,
    )  # the tenth game was cut short before its fourth turn
    assert "turn 4" in str(found.first_failure)
    assert "out of luck" in str(found.first_failure)
    found = discover(flaky(0, lambda number: number % 2 == 0), METADATA, 30, seed=1, max_turns_per_episode=10)
    assert (found.episodes, found.failures) == (5, 2)


def test_a_game_that_always_fails_at_once_is_given_up() -> None:
    with pytest.raises(GameFailedError, match="out of luck"):
        discover(flaky(1), METADATA, 30, seed=1)
    with pytest.raises(GameFailedError, match="not built"):
        discover(flaky(0, lambda number: number > 1), METADATA, 30, seed=1, max_turns_per_episode=10)


def test_a_game_that_was_just_built_is_played_and_not_built_again() -> None:
    built: list[Game] = []

    def build() -> Game:
        built.append(Game([ArrowKeyAgent()], {"score": 0}))
        return built[-1]

    session = GameSession(build, METADATA)
    session.start()
    found = discover(build, METADATA, 20, seed=1, started=session)
    assert (found.turns, found.episodes, len(built)) == (20, 1, 1)
    discover(build, METADATA, 20, seed=1, started=session)
    assert len(built) == 2, "a game that was played already is not the first of another look"
