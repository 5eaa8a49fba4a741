from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from retro.game import Game

from retro_gamer.errors import GameFailedError, GameNotFoundError
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.launcher import load_factory

Project = Callable[[dict[str, str]], Path]
SAMPLES = Path(__file__).parents[1] / "games"


@pytest.mark.parametrize("name", ["snake", "nav", "beast"])
def test_the_frameworks_examples_load(name: str) -> None:
    game = load_factory(find_source(f"retro.examples.{name}"))()
    assert isinstance(game, Game)
    assert game.state["score"] == 0


def test_a_module_of_the_current_directory_loads(
    make_project: Project, plain_game_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_project({"pkg/__init__.py": "", "pkg/play.py": plain_game_text}))
    assert load_factory(find_source("pkg.play"))().board_size == (5, 4)


@pytest.mark.parametrize("game", ["", "game.py"])
def test_a_game_whose_sibling_hides_a_standard_module_loads(game: str) -> None:
    source = find_source(str(SAMPLES / "shadowed_numbers" / game))
    first, second = load_factory(source), load_factory(source)
    assert [first().state["plays"], first().state["plays"], second().state["plays"]] == [1, 2, 1]
    assert first().state["start"] == 7


def test_numpy_imports_after_such_a_game(tmp_path: Path) -> None:
    script = (
        "from retro_gamer.games.loading.find import find_source\n"
        "from retro_gamer.games.loading.launcher import load_factory\n"
        f"load_factory(find_source({str(SAMPLES / 'shadowed_numbers')!r}))()\n"
        "import numbers, numpy.ma, statistics\nassert numbers.Real and not hasattr(numbers, 'START')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, timeout=60)


@pytest.mark.parametrize("factory", ["game:build", "build:Builder.make", "game:ready"])
def test_a_factory_may_have_another_name_and_place(factory: str, make_project: Project, plain_game_text: str) -> None:
    folder = make_project(
        {
            "game.py": plain_game_text.replace("create_game", "build") + "\nclass ready:\n    pass\n",
            "build.py": "from game import build\nclass Builder:\n    make = staticmethod(build)\n",
        }
    )
    assert callable(load_factory(dataclasses.replace(find_source(str(folder / "game.py")), factory=factory)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nimport no_such_package_here\n", "game.py:2: ModuleNotFoundError: No module named 'no_such_package_here'"),
        ("x = 1\n1 / 0\n", "game.py:2: ZeroDivisionError: division by zero"),
        ("x = 1\n\ndef (\n", "game.py:3: SyntaxError"),
        ("import sys\nsys.exit(3)\n", "game.py:2: the game left Python (SystemExit: 3)"),
        ("import helper\n", "helper.py:2: ValueError: [2Jbad"),
        ("from helper2 import missing\n", "ImportError: cannot import name 'missing' from 'helper2'"),
    ],
)
def test_a_module_that_fails_on_import_is_named_by_file_and_line(
    text: str, message: str, make_project: Project
) -> None:
    folder = make_project({"game.py": text, "helper.py": "\nraise ValueError('\\x1b[2Jbad')\n", "helper2.py": ""})
    before = set(sys.modules)
    with pytest.raises(GameFailedError) as raised:
        load_factory(find_source(str(folder / "game.py")))
    assert message.replace("[2J", "\\x1b[2J") in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert str(folder / "game.py") in str(raised.value)
    assert not {name for name in set(sys.modules) - before if name.startswith("retro_game_")}


def test_a_module_that_plays_nothing_says_what_was_tried(make_project: Project) -> None:
    folder = make_project({"game.py": "def main(): ...\ndef run(): ...\n"})
    with pytest.raises(GameNotFoundError) as raised:
        load_factory(find_source(str(folder / "game.py")))
    for piece in ("no function create_game()", "main(), play(), run()", 'factory = "game:NAME"'):
        assert piece in str(raised.value)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("game:build", "no function build"),
        ("missing:build", "no module missing"),
        ("game:NUMBER", "no function NUMBER"),
    ],
)
def test_a_factory_that_is_not_there_is_said(factory: str, message: str, make_project: Project) -> None:
    folder = make_project({"game.py": "NUMBER = 3\n"})
    with pytest.raises(GameNotFoundError, match=message):
        load_factory(dataclasses.replace(find_source(str(folder / "game.py")), factory=factory))


def test_a_game_that_vanished_is_said(make_project: Project, plain_game_text: str) -> None:
    source = find_source(str(make_project({"game.py": plain_game_text}) / "game.py"))
    with pytest.raises(GameNotFoundError, match="no module gone"):
        load_factory(dataclasses.replace(source, module="gone"))
    with pytest.raises(GameNotFoundError, match="no module"):
        load_factory(find_source("retro.examples.snake").__class__(module="retro.examples.gone"))
