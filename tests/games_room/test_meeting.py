"""A player that comes only later in a game is one that a description may name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from retro.game import Game

from retro_gamer.driver.creation import create_run
from retro_gamer.errors import ConfigurationError
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.observation import PlayerFinder
from retro_gamer.games.open_game import MEETING_TURNS, find_session_problems
from retro_gamer.games.random_play import discover
from retro_gamer.games.session import GameSession
from retro_gamer.run.config import load_config
from retro_gamer.training.preparation import prepare_run, write_findings


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
    assert session.turns == 0, "who is there at the start is not waited for"


def test_one_that_does_not_come_is_said_with_those_that_did() -> None:
    session = make_session(3, "herro")
    (problem,) = find_session_problems(session)
    assert session.turns == MEETING_TURNS
    assert "there are 'menu', 'hero'" in problem.rule
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


def test_of_several_that_are_called_alike_the_one_that_the_actions_move_is_found() -> None:
    def make() -> Game:
        left, right = Mover((0, 3), ("a", "d")), Mover((9, 3), ("KEY_LEFT", "KEY_RIGHT"))
        return Game([left, right], {"score": 0}, board_size=(10, 4))

    metadata = GameMetadata(actions=("KEY_LEFT", "KEY_RIGHT"), reward="score")
    found = discover(make, metadata, 50, 1)
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


def test_an_agent_that_is_really_called_so_is_meant() -> None:
    first, second, third = (Mover((i, 0), ("a", "d")) for i in range(3))
    for agent, name in ((first, "x"), (second, "x"), (third, "x#2")):
        agent.name = name  # type: ignore[attr-defined]
    assert PlayerFinder("x#2").find([first, second, third]) is third
