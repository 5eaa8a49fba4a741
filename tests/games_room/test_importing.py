from __future__ import annotations

import importlib
import importlib.util
import numbers
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import retro.game

from retro_gamer.games.loading import importing
from retro_gamer.games.loading.importing import ModuleSpace, folders_of

Project = Callable[[dict[str, str]], Path]


@pytest.fixture
def make_space() -> Iterator[Callable[..., ModuleSpace]]:
    spaces: list[ModuleSpace] = []

    def make(*folders: Path) -> ModuleSpace:
        spaces.append(ModuleSpace([str(folder) for folder in folders]))
        return spaces[-1]

    yield make
    for space in spaces:
        space.unload()


def test_flat_siblings_are_imported_in_every_way(make_project: Project, make_space: Callable[..., ModuleSpace]) -> None:
    folder = make_project(
        {
            "player.py": "NAME = 'hero'\n",
            "pkg/__init__.py": "from . import inner\nfrom .inner import VALUE\n",
            "pkg/inner.py": "import player\nVALUE = player.NAME\n",
            "game.py": (
                "import player\nimport pkg.inner\nimport pkg.inner as shortened\nfrom pkg import inner\n"
                "from player import NAME\nfrom player import *\nimport os.path, json\n"
                "from collections import abc\n"
                "def late():\n    import lateborn\n    return lateborn.NAME\n"
            ),
            "lateborn.py": "NAME = 'late'\n",
        }
    )
    game = make_space(folder).load("game")
    assert game.player.NAME == game.NAME == "hero"
    assert game.pkg.inner is game.shortened is game.inner
    assert game.pkg.VALUE == "hero"
    assert game.os.path is __import__("os").path
    assert game.late() == "late"


def test_a_sibling_named_like_a_standard_module_is_the_games_alone(
    make_project: Project, make_space: Callable[..., ModuleSpace]
) -> None:
    folder = make_project(
        {"numbers.py": "START = 7\n", "game.py": "from numbers import START\nimport fractions, decimal\n"}
    )
    fractions = sys.modules.pop("fractions", None)
    try:
        game = make_space(folder).load("game")
        assert game.START == 7
        assert issubclass(game.fractions.Fraction, numbers.Rational)
        assert importlib.import_module("numbers") is numbers
        assert str(folder) not in sys.path
    finally:
        if fractions is not None:
            sys.modules["fractions"] = fractions


def test_two_games_and_two_copies_share_nothing(make_project: Project, make_space: Callable[..., ModuleSpace]) -> None:
    folder = make_project(
        {
            "one/board.py": "NAME = 'one'\n",
            "one/game.py": "import board\nscore = 0\n",
            "two/board.py": "NAME = 'two'\n",
            "two/game.py": "import board\n",
        }
    )
    first, again = make_space(folder / "one").load("game"), make_space(folder / "one").load("game")
    second = make_space(folder / "two").load("game")
    assert (first.board.NAME, second.board.NAME) == ("one", "two")
    first.__dict__["score"] = 5
    assert again.score == 0
    assert "board" not in sys.modules


def test_a_plain_folder_does_not_hide_an_installed_module(
    make_project: Project, make_space: Callable[..., ModuleSpace]
) -> None:
    folder = make_project({"json/readme.txt": "", "levels/one.py": "WIDTH = 3\n", "retro/__init__.py": "1 / 0\n"})
    (folder / "game.py").write_text("import json\nimport levels.one\nimport retro.game\n")
    game = make_space(folder).load("game")
    assert game.json.loads("[1]") == [1]
    assert game.levels.one.WIDTH == 3


def test_later_folders_are_searched_after_the_first(
    make_project: Project, make_space: Callable[..., ModuleSpace]
) -> None:
    folder = make_project(
        {
            "pkg/__init__.py": "",
            "pkg/game.py": "import player\nfrom pkg import player as same\n",
            "pkg/player.py": "X = 1",
        }
    )
    game = make_space(folder, folder / "pkg").load("pkg.game")
    assert game.player.X == game.same.X == 1


def test_dataclasses_and_annotations_work(make_project: Project, make_space: Callable[..., ModuleSpace]) -> None:
    text = (
        "from __future__ import annotations\nimport dataclasses, typing\n"
        "@dataclasses.dataclass\nclass Cell:\n    x: int = 0\n"
        "    near: InitVar[int] = 0\n    far: typing.ClassVar[int] = 1\n"
    )
    game = make_space(make_project({"game.py": text})).load("game")
    assert game.Cell(x=3) == game.Cell(3)


def test_nothing_is_written_beside_the_game(make_project: Project, make_space: Callable[..., ModuleSpace]) -> None:
    folder = make_project({"game.py": "import player\n", "player.py": ""})
    make_space(folder).load("game")
    assert sorted(path.name for path in folder.iterdir()) == ["game.py", "player.py"]


def test_unload_forgets_the_modules(make_project: Project) -> None:
    space = ModuleSpace([str(make_project({"game.py": "def f():\n    return 1\n"}))])
    function = space.load("game").f
    space.unload()
    assert not [name for name in sys.modules if name.startswith(space.name)]
    assert function() == 1


def test_folders_of_a_source(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    assert folders_of(str(tmp_path), None) == [str(tmp_path)]
    assert folders_of(str(tmp_path), str(tmp_path / "pkg" / "game.py")) == [str(tmp_path), str(tmp_path / "pkg")]
    assert folders_of(str(tmp_path), str(tmp_path)) == [str(tmp_path)]


def test_the_folders_that_distinguish_code_exist() -> None:
    assert (Path(importing._OURS) / "games" / "loading" / "importing.py").samefile(str(importing.__file__))
    assert (Path(importing.FRAMEWORK_FOLDER) / "game.py").samefile(str(retro.game.__file__))
    assert (Path(importing._EXAMPLES) / "snake.py").is_file()
    assert importing.is_machinery(str(importing.__file__))
    assert importing.is_framework(str(retro.game.__file__))
    assert not importing.is_library(str(Path(importing._EXAMPLES) / "snake.py"))
    assert importing.is_library(str(numbers.__file__))


def test_the_prefix_of_private_modules_is_the_one_that_messages_leave_out() -> None:
    space = importing.ModuleSpace([])
    assert importing.PRIVATE_PACKAGE.sub("", f"no module {space.name}.walls") == "no module walls"
    space.unload()
    for name in importing._NEVER_PRIVATE:
        assert importlib.util.find_spec(name) is not None
