from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from retro.agent import ArrowKeyAgent
from retro.game import Game

from retro_gamer.games.loading.failures import describe_failure, failure_place
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.launcher import load_factory

Project = Callable[[dict[str, str]], Path]


def failure_of(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_the_line_of_the_game_is_named_even_if_a_library_raised() -> None:
    line = test_the_line_of_the_game_is_named_even_if_a_library_raised.__code__.co_firstlineno + 2
    text = describe_failure(failure_of(lambda: random.choice([])))
    assert text.startswith(f"test_failures.py:{line}: IndexError: ")


def test_an_error_in_the_framework_is_named_as_such() -> None:
    text = describe_failure(failure_of(lambda: Game([ArrowKeyAgent(), ArrowKeyAgent()], {})))
    assert text.startswith("test_failures.py:")
    assert text.endswith("(raised in retro/errors.py, part of retro-games)")


def test_files_are_named_from_the_games_folder(make_project: Project) -> None:
    folder = make_project(
        {"game.py": "import lib.walls\ncreate_game = lib.walls.build\n", "lib/walls.py": "def build():\n    1 / 0\n"}
    )
    source = find_source(str(folder / "game.py"))
    error = failure_of(load_factory(source))
    assert describe_failure(error, source.search_path) == "lib/walls.py:2: ZeroDivisionError: division by zero"
    assert failure_place(error, source.search_path) == "lib/walls.py:2: "


def test_an_example_of_the_framework_counts_as_a_game() -> None:
    from retro.examples.beast.board import Board

    error = failure_of(lambda: Board(1, 1, block_density=2).get_agents())
    assert describe_failure(error).startswith("retro/examples/beast/board.py:")


class RudeError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RudeError(), "RudeError: (its message cannot be shown: RuntimeError)"),
        (ValueError("a\n\tb\x1b[2J"), "ValueError: a b\\x1b[2J"),
        (ValueError("x" * 5000), "ValueError: " + "x" * 299 + "…"),
        (KeyError("score"), "KeyError: 'score'"),
        (ValueError(), "ValueError"),
        (SystemExit("bye"), "the game left Python (SystemExit: 'bye')"),
    ],
)
def test_any_message_is_fit_for_a_terminal(error: BaseException, text: str) -> None:
    assert describe_failure(error) == text
