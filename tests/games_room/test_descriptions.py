from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from retro_gamer.errors import DescriptionNotFoundError
from retro_gamer.games.description import BUILTIN, GameMetadata, find_description
from retro_gamer.games.game_rules import find_game_problems
from retro_gamer.games.loading.find import GameSource, find_source
from retro_gamer.games.loading.launcher import load_factory

Project = Callable[[dict[str, str]], Path]


@pytest.mark.parametrize("name", ["retro.examples.snake", "retro.examples.labyrinth"])
def test_examples_without_a_description_have_a_built_in_one(name: str) -> None:
    found = find_description(find_source(name))
    assert found.builtin
    assert found.values == BUILTIN[name]
    assert name in found.origin


def test_the_built_in_description_of_snake_fits_the_game() -> None:
    metadata = GameMetadata.from_pyproject("retro.examples.snake")
    game = load_factory(find_source("retro.examples.snake"))()
    assert find_game_problems(metadata, game) == []


def test_an_example_with_its_own_is_described_by_that() -> None:
    found = find_description(find_source("retro.examples.beast"))
    assert not found.builtin
    assert found.values["character_set"] == ["*", "H", "█"]
    assert found.origin.endswith("beast/pyproject.toml")


def test_changing_what_was_found_changes_no_built_in_description() -> None:
    find_description(find_source("retro.examples.snake")).values["actions"].append("q")
    assert "q" not in find_description(find_source("retro.examples.snake")).values["actions"]


def test_a_description_above_the_module_counts(make_project: Project, plain_game_text: str) -> None:
    folder = make_project({"game/main.py": plain_game_text, "pyproject.toml": '[tool.retro-gamer]\nreward = "x"\n'})
    for game in (folder / "game", folder / "game" / "main.py"):
        assert find_description(find_source(str(game))).values == {"reward": "x"}


def test_a_users_own_snake_is_not_taken_for_the_frameworks(make_project: Project, plain_game_text: str) -> None:
    folder = make_project({"snake.py": plain_game_text})
    with pytest.raises(DescriptionNotFoundError) as raised:
        find_description(find_source(str(folder / "snake.py")))
    assert "retro-gamer check" in str(raised.value)
    assert "[tool.retro-gamer]" in str(raised.value)
    with pytest.raises(DescriptionNotFoundError):
        find_description(GameSource(module="retro.examples.snake", search_path=str(folder)))
