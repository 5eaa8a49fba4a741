from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from retro.agent import Agent, ArrowKeyAgent
from retro.game import Game

from retro_gamer.games.observation import PlayerFinder, label_of


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
