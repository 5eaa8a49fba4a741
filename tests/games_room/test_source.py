from __future__ import annotations

import dataclasses
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import retro

from retro_gamer.errors import GameFailedError, GameNotFoundError
from retro_gamer.games.loading.find import GameSource, find_source, source_of_module

EXAMPLES = Path(next(iter(retro.__path__))) / "examples"
Project = Callable[[dict[str, str]], Path]


def test_a_dotted_module_is_found_without_being_run() -> None:
    sys.modules.pop("retro.examples.debug", None)
    source = find_source("retro.examples.debug")  # running it would start a game
    assert source == GameSource(module="retro.examples.debug")
    assert source.label == "retro.examples.debug"
    assert source.folder == EXAMPLES
    assert "retro.examples.debug" not in sys.modules
    assert find_source("retro.examples.nav").folder == EXAMPLES / "nav"


def test_a_source_travels_to_other_processes() -> None:
    source = dataclasses.replace(find_source("retro.examples.snake"), factory="other:build")
    assert source.factory == "other:build"
    assert pickle.loads(pickle.dumps(source)) == source


def test_a_file_is_found(make_project: Project, plain_game_text: str) -> None:
    folder = make_project({"my-game.py": plain_game_text})
    source = find_source(str(folder / "my-game.py"))
    assert source == GameSource(module="my-game", path=str(folder / "my-game.py"), search_path=str(folder))
    assert source.folder == folder


def test_a_file_of_a_package_is_named_from_the_outermost_one(make_project: Project, plain_game_text: str) -> None:
    folder = make_project({"a/__init__.py": "", "a/b/__init__.py": "", "a/b/play.py": plain_game_text})
    assert find_source(str(folder / "a/b/play.py")) == GameSource(
        module="a.b.play", path=str(folder / "a/b/play.py"), search_path=str(folder)
    )


def test_a_file_of_the_framework_keeps_its_dotted_name() -> None:
    assert find_source(str(EXAMPLES / "snake.py")) == GameSource(module="retro.examples.snake")
    assert find_source(str(EXAMPLES / "beast" / "__init__.py")) == GameSource(module="retro.examples.beast")
    assert find_source(str(EXAMPLES / "beast")) == GameSource(module="retro.examples.beast")
    hidden_by_package = find_source(str(EXAMPLES / "nav.py"))
    assert hidden_by_package.search_path == str(EXAMPLES)


def test_dotted_names_and_files_are_looked_up_in_the_current_directory(
    make_project: Project, plain_game_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_project({"numbers.py": plain_game_text, "pkg/__init__.py": "", "pkg/play.py": plain_game_text})
    monkeypatch.chdir(folder)
    assert find_source("numbers") == GameSource(module="numbers", search_path=str(folder))
    assert find_source("pkg.play") == GameSource(module="pkg.play", search_path=str(folder))
    assert find_source("pkg.play").folder == folder / "pkg"
    assert find_source("numbers.py").path == str(folder / "numbers.py")


def test_a_folder_named_by_a_bare_word_is_found(
    make_project: Project, plain_game_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_project({"tower/main.py": plain_game_text})
    monkeypatch.chdir(folder)
    expected = GameSource(module="main", path=str(folder / "tower"), search_path=str(folder / "tower"))
    assert find_source("tower") == expected
    monkeypatch.syspath_prepend(str(folder))
    assert find_source("tower") == expected
    assert expected.folder == folder / "tower"


def test_a_home_folder_is_understood(
    make_project: Project, plain_game_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_project({"game.py": plain_game_text})
    monkeypatch.setenv("HOME", str(folder))
    assert find_source("~/game.py").path == str(folder / "game.py")


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ("retro.examples.snak", "Did you mean retro.examples.snake?"),
        ("no_such_module_at_all", "no module 'no_such_module_at_all'"),
        ("no_such.thing", "no module"),
        ("nowhere/game.py", "no game at 'nowhere/game.py'"),
        ("gam.py", "Did you mean game.py?"),
        ("notes/readme.txt", "no game at"),
        ("", "no module ''"),
        ("..", "holds no Python files"),
        ("a b", "no module 'a b'"),
        ("..x", "no module"),
        ("\x1b[2J\x00", "no module"),
        ("x" * 5000, "no module"),
        ("a.b.py", "cannot be imported: rename it"),
    ],
)
def test_what_is_not_there_is_said(
    game: str, message: str, make_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_project({"inner/here/game.py": "", "inner/here/notes/readme.txt": "", "inner/here/a.b.py": ""})
    monkeypatch.chdir(folder / "inner/here")
    with pytest.raises(GameNotFoundError) as raised:
        find_source(game)
    assert message in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 1000


def test_a_package_that_fails_on_the_way_is_the_games_fault(
    make_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_project({"broken_on_the_way/__init__.py": "\n1 / 0\n"})
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(GameFailedError, match=r"__init__\.py:2: ZeroDivisionError"):
        find_source("broken_on_the_way.game")


def test_the_source_of_a_module_leads_to_its_folder(tmp_path: Path) -> None:
    import retro.examples.beast as beast

    assert source_of_module(beast).folder == EXAMPLES / "beast"
    script = ModuleType("__main__")
    script.__file__ = str(tmp_path / "script.py")
    assert source_of_module(script).folder == tmp_path
    notebook = ModuleType("__main__")
    assert source_of_module(notebook).folder == Path.cwd()
