from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from retro_gamer.errors import GameNotFoundError
from retro_gamer.games.loading.find import file_of_module, find_game_file

Project = Callable[[dict[str, str]], Path]
PLAYS = "Game([], {}).play()"
DEFINES = "def create_game(): ..."


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"snake.py": ""}, "snake.py"),
        ({"player.py": "", "world.py": DEFINES}, "world.py"),
        ({"player.py": "", "world.py": "from player import build as create_game"}, "world.py"),
        ({"player.py": "", "world.py": "create_game = print"}, "world.py"),
        ({"player.py": "", "main.py": ""}, "main.py"),
        ({"player.py": "", "game.py": ""}, "game.py"),
        ({"player.py": "", "project.py": ""}, "project.py"),
        ({"main.py": DEFINES, "old.py": DEFINES}, "main.py"),
        ({"__init__.py": DEFINES, "old.py": DEFINES}, "__init__.py"),
        ({"__init__.py": "", "old.py": DEFINES}, "old.py"),
        ({"setup.py": "", "tower/__init__.py": DEFINES, "tests/__init__.py": ""}, "tower/__init__.py"),
        ({"setup.py": "", "docs.py": "", "src/tower/__init__.py": DEFINES}, "src/tower/__init__.py"),
        ({"broken.py": "def (", "world.py": DEFINES}, "world.py"),
        ({"player.py": "", "apples.py": PLAYS, "wall.py": ""}, "apples.py"),
        ({"game.py": "class P: ...", "start_here.py": f"from game import *\n{PLAYS}"}, "start_here.py"),
        ({"game.py": "import helper\nhelper.go()", "helper.py": f"def go():\n    {PLAYS}"}, "game.py"),
        ({"setup.py": "", "src/tower/__init__.py": "", "src/tower/run_it.py": PLAYS}, "src/tower/run_it.py"),
        ({"game.py": f"from retro.game import Game\n{PLAYS}", "backup.py": f"import retro.game\n{PLAYS}"}, "game.py"),
        ({"game.py": f"from retro.game import Game\n{PLAYS}", "levels.py": "from retro.game import Game"}, "game.py"),
        ({"main.py": f"from . import game\n{PLAYS}", "game.py": PLAYS, "x.py": "import main"}, "x.py"),
    ],
)
def test_the_file_that_builds_the_game_stands_out(files: dict[str, str], found: str, make_project: Project) -> None:
    folder = make_project(files)
    assert find_game_file(folder) == folder / found


def test_a_factory_decides(make_project: Project) -> None:
    folder = make_project({"a.py": DEFINES, "b.py": ""})
    (folder / "pyproject.toml").write_text('[tool.retro-gamer]\nfactory = "b:build"\n')
    assert find_game_file(folder) == folder / "b.py"
    (folder / "pyproject.toml").write_text('[tool.retro-gamer]\nfactory = "elsewhere:build"\n')
    assert find_game_file(folder) == folder / "a.py"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"notes.txt": ""}, "holds no Python files"),
        ({"a.py": "", "b.py": ""}, "holds a.py, b.py, and none of them alone defines create_game()"),
        ({"a.py": DEFINES, "b.py": DEFINES}, "holds a.py, b.py, and several of them define create_game()"),
    ],
)
def test_a_folder_without_such_a_file_is_refused(files: dict[str, str], said: str, make_project: Project) -> None:
    with pytest.raises(GameNotFoundError, match=re.escape(said)):
        find_game_file(make_project(files))


def test_the_file_of_a_module(make_project: Project) -> None:
    folder = make_project({"a/__init__.py": ""})
    assert file_of_module(folder, "a") == folder / "a" / "__init__.py"
    assert file_of_module(folder, "a.b") == folder / "a" / "b.py"
