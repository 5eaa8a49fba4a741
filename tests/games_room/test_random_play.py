from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retro.agent import ArrowKeyAgent
from retro.game import Game

from retro_gamer.driver.creation import create_run
from retro_gamer.errors import ConfigurationError, GameFailedError
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.observation import PlayerFinder
from retro_gamer.games.random_play import (
    MOST_TURNS_TO_MEET_THE_PLAYER,
    RandomPlay,
    find_session_problems,
    open_game,
    play_randomly,
)
from retro_gamer.games.session import GameSession
from retro_gamer.run.config import load_config
from retro_gamer.training.preparation import prepare_run, write_findings

METADATA = GameMetadata(actions=("KEY_RIGHT", "KEY_LEFT"), reward="score")


def explore(
    factory: Callable[[], Game], metadata: GameMetadata, turns: int, seed: int | None, **limits: int
) -> RandomPlay:
    session = GameSession(factory, metadata)
    if seed is not None:
        session.seed(seed)
    return play_randomly(session, turns, seed, **limits)


def test_the_characters_of_the_examples_are_found_sorted() -> None:
    beast = explore(load_factory(find_source("retro.examples.beast")), METADATA, turns=5, seed=1)
    assert beast.characters == ("*", "H", "█")
    assert (beast.turns, beast.has_player, beast.player, beast.failures) == (5, True, None, 0)
    factory = load_factory(find_source("retro.examples.snake"))
    snake = explore(factory, GameMetadata.from_pyproject("retro.examples.snake"), turns=200, seed=1)
    assert snake.characters == ("*", "<", ">", "@", "^", "v"), "with seed 1 an apple is eaten, so there is a tail"
    assert snake.episodes > 1


def test_the_same_seed_finds_the_same() -> None:
    def build() -> Game:
        agent = ArrowKeyAgent()
        agent.character = chr(random.randrange(0x4E00, 0x5000))
        return Game([agent], {"score": 0})

    first, second = (explore(build, METADATA, 60, seed=4, most_turns_per_episode=3) for _ in range(2))
    assert first == second
    assert (first.episodes, len(first.characters)) == (20, len(set(first.characters)))
    assert explore(build, METADATA, 60, seed=5, most_turns_per_episode=3) != first


def test_of_too_many_characters_the_most_frequent_are_kept() -> None:
    numbers = itertools.count()

    class Chameleon(ArrowKeyAgent):
        def play_turn(self, game: Game) -> None:
            self.character = chr(0x4E00 + next(numbers) % 300)

    class Rock:
        character, position = "#", (1, 1)

    found = explore(lambda: Game([Chameleon(), Rock()], {"score": 0}), METADATA, 320, seed=1)
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

    assert explore(build, METADATA, 100, seed=1).player == "hero"
    described = GameMetadata(actions=("KEY_RIGHT",), reward="score", player="drifter")
    found = explore(build, described, 20, seed=1)
    assert (found.player, found.has_player) == (None, True)


def test_there_is_no_player_if_keys_move_none_of_several() -> None:
    class Door:
        character = "#"

        def __init__(self, y: int) -> None:
            self.position = (0, y)

        def handle_keystroke(self, keystroke: Any, game: Game) -> None:
            self.character = "#" if self.character == "+" else "+"

    two = explore(lambda: Game([Door(0), Door(1)], {"score": 0}), METADATA, 60, seed=1)
    one = explore(lambda: Game([Door(0)], {"score": 0}), METADATA, 60, seed=1)
    assert (two.has_player, two.player) == (False, None)
    assert (one.has_player, one.player) == (True, None)


def test_of_several_that_move_alike_the_first_is_the_player_anyway() -> None:
    found = explore(lambda: Game([Hero(), ArrowKeyAgent()], {"score": 0}), METADATA, 100, seed=1)
    assert (found.has_player, found.player) == (True, None)


def test_a_game_may_have_no_player() -> None:
    class Rock:
        character, position = "#", (1, 1)

    found = explore(lambda: Game([Rock()], {"score": 0}), METADATA, 5, seed=None)
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
    found = explore(flaky(4), METADATA, 30, seed=1)
    assert (found.turns, found.episodes, found.failures) == (
        30,
        10,
        9,
    )  # the tenth game was cut short before its fourth turn
    assert "turn 4" in str(found.first_failure)
    assert "out of luck" in str(found.first_failure)
    found = explore(flaky(0, lambda number: number % 2 == 0), METADATA, 30, seed=1, most_turns_per_episode=10)
    assert (found.episodes, found.failures) == (5, 2)


def test_a_game_that_always_fails_at_once_is_given_up() -> None:
    with pytest.raises(GameFailedError, match="out of luck"):
        explore(flaky(1), METADATA, 30, seed=1)
    with pytest.raises(GameFailedError, match="not built"):
        explore(flaky(0, lambda number: number > 1), METADATA, 30, seed=1, most_turns_per_episode=10)


def test_a_game_that_was_just_built_is_played_and_not_built_again() -> None:
    built: list[Game] = []

    def build() -> Game:
        built.append(Game([ArrowKeyAgent()], {"score": 0}))
        return built[-1]

    session = GameSession(build, METADATA)
    session.start()
    found = play_randomly(session, 20, seed=1)
    assert (found.turns, found.episodes, len(built)) == (20, 1, 1)
    play_randomly(session, 20, seed=1)
    assert len(built) == 2, "a game that was played already is not played again"


def test_a_property_that_fails_is_a_failure_of_the_game() -> None:
    class Odd(ArrowKeyAgent):
        has_moved = False

        def play_turn(self, game: Game) -> None:
            self.has_moved = True

        @property
        def name(self) -> str:
            if self.has_moved:
                raise OSError("it has no name")
            return "odd"

    found = explore(lambda: Game([Odd()], {"score": 0}), METADATA, 5, seed=1)
    assert (found.turns, found.failures) == (5, 5)
    assert "cannot be observed: " in str(found.first_failure)
    assert "OSError: it has no name" in str(found.first_failure)


def test_a_game_is_opened_with_its_board_size_and_the_problems_of_its_description() -> None:
    def build() -> Game:
        return Game([ArrowKeyAgent()], {"score": random.random()}, board_size=(7, 3))

    first, second = (open_game(build, METADATA, seed=3) for _ in range(2))
    assert first.metadata == dataclasses.replace(METADATA, board_size=(7, 3))
    assert (first.problems, first.session.turns, first.session.is_over) == ([], 0, False)
    assert first.session.game.state == second.session.game.state
    assert first.checked("here") is first
    wrong = open_game(build, dataclasses.replace(METADATA, reward="points"))
    assert [problem.field for problem in wrong.problems] == ["reward"]
    with pytest.raises(ConfigurationError, match="1 problem in the test"):
        wrong.checked("the test")


class Mover:
    character = "@"

    def __init__(self, position: tuple[int, int], keys: tuple[str, str]) -> None:
        self.position = position
        self.keys = keys

    def handle_keystroke(self, keystroke: Any, game: Game) -> None:
        step = {self.keys[0]: -1, self.keys[1]: 1}.get(keystroke.name, 0)
        self.position = ((self.position[0] + step) % 10, self.position[1])


class Menu:
    name = "menu"
    character = "m"
    position = (0, 0)

    def __init__(self, turns: int) -> None:
        self.left = turns

    def handle_keystroke(self, keystroke: Any, game: Game) -> None:
        """It takes keys, and nothing follows."""

    def play_turn(self, game: Game) -> None:
        self.left -= 1
        if not self.left:
            hero = Mover((5, 1), ("KEY_LEFT", "KEY_RIGHT"))
            hero.name = "hero"  # type: ignore[attr-defined]
            game.add_agent(hero)


def make_session(turns: int, player: str) -> GameSession:
    metadata = GameMetadata(actions=("KEY_LEFT", "KEY_RIGHT"), reward="score", player=player)
    session = GameSession(lambda: Game([Menu(turns)], {"score": 0}, board_size=(10, 4)), metadata)
    session.start()
    return session


def test_a_player_is_waited_for() -> None:
    session = make_session(3, "hero")
    assert find_session_problems(session) == []
    assert session.turns == 3
    session = make_session(3, "menu")
    assert find_session_problems(session) == []
    assert session.turns == 0, "an agent that is there at the start is not waited for"


def test_a_player_that_does_not_appear_is_a_problem_that_names_the_others() -> None:
    session = make_session(3, "herro")
    (problem,) = find_session_problems(session)
    assert session.turns == MOST_TURNS_TO_MEET_THE_PLAYER
    assert "the agents are 'menu', 'hero'" in problem.rule
    assert problem.remedy == 'player = "hero"'


MENU_GAME = """\
from retro.game import Game

class Hero:
    name = "hero"
    character = "@"
    position = (5, 1)

    def handle_keystroke(self, keystroke, game):
        self.position = (self.position[0] + {"KEY_LEFT": -1, "KEY_RIGHT": 1}.get(keystroke.name, 0), 1)
        game.state["score"] += 1

class Menu:
    name = "menu"
    character = "m"
    position = (0, 0)
    left = 3

    def handle_keystroke(self, keystroke, game):
        pass

    def play_turn(self, game):
        self.left -= 1
        if not self.left:
            game.add_agent(Hero())

def create_game():
    return Game([Menu()], {"score": 0}, board_size=(10, 4))
"""


def test_the_player_that_was_found_and_written_down_opens_the_run_again(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text(MENU_GAME)
    description = '[tool.retro-gamer]\nactions = ["KEY_LEFT", "KEY_RIGHT"]\nreward = "score"\n'
    (tmp_path / "pyproject.toml").write_text(description)
    run = create_run(str(tmp_path / "game.py"), tmp_path / "run", {}).directory
    write_findings(prepare_run(run, load_config(run.path)))
    assert load_config(run.path).metadata.player == "hero"
    assert prepare_run(run, load_config(run.path)).run_spec.metadata.player == "hero"
    (tmp_path / "pyproject.toml").write_text(description + 'player = "hero"\n')
    assert create_run(str(tmp_path / "game.py"), tmp_path / "another", {}).config.metadata.player == "hero"
    (tmp_path / "pyproject.toml").write_text(description + 'player = "nobody"\n')
    with pytest.raises(ConfigurationError, match="player = 'nobody'"):
        create_run(str(tmp_path / "game.py"), tmp_path / "third", {})


def test_of_several_agents_with_one_name_the_one_that_the_actions_move_is_found() -> None:
    def make() -> Game:
        left, right = Mover((0, 3), ("a", "d")), Mover((9, 3), ("KEY_LEFT", "KEY_RIGHT"))
        return Game([left, right], {"score": 0}, board_size=(10, 4))

    metadata = GameMetadata(actions=("KEY_LEFT", "KEY_RIGHT"), reward="score")
    unplayed = GameSession(make, metadata)
    unplayed.seed(1)
    found = play_randomly(unplayed, 50, 1)
    assert found.player == "Mover#2"
    game = make()
    assert PlayerFinder("Mover#2").find(game.agents) is game.agents[1]
    assert PlayerFinder("Mover").find(game.agents) is game.agents[0]
    assert PlayerFinder("Mover#3").find(game.agents) is None
    second: Any = game.agents[1]
    second.display = False
    assert PlayerFinder("Mover#2").find(game.agents) is None
    described = GameMetadata(actions=metadata.actions, reward="score", player="Mover#2")
    session = GameSession(make, described)
    session.start()
    assert find_session_problems(session) == []


def test_an_agent_whose_own_name_has_a_number_comes_first() -> None:
    first, second, third = (Mover((i, 0), ("a", "d")) for i in range(3))
    for agent, name in ((first, "x"), (second, "x"), (third, "x#2")):
        agent.name = name  # type: ignore[attr-defined]
    assert PlayerFinder("x#2").find([first, second, third]) is third
