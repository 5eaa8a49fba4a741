from __future__ import annotations

import dataclasses
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import retro

from retro_gamer.errors import ConfigurationError, GameFailedError, GameNotFoundError
from retro_gamer.games.loading.find import (
    GameSource,
    file_of_module,
    find_game_file,
    find_source,
    source_of_module,
)
from retro_gamer.games.loading.pyproject import find_section, folders_above, read_section

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
        ("..", "contains no Python files"),
        ("a b", "no module 'a b'"),
        ("..x", "no module"),
        ("\x1b[2J\x00", "no module"),
        ("x" * 5000, "no module"),
        ("a.b.py", "cannot be imported; rename it"),
    ],
)
def test_a_missing_game_is_an_error_with_a_hint(
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
def test_the_file_that_builds_the_game_is_found(files: dict[str, str], found: str, make_project: Project) -> None:
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
        ({"notes.txt": ""}, "contains no Python files"),
        ({"a.py": "", "b.py": ""}, "contains a.py, b.py, but not exactly one of them defines create_game()"),
        ({"a.py": DEFINES, "b.py": DEFINES}, "contains a.py, b.py, and several of them define create_game()"),
    ],
)
def test_a_folder_without_such_a_file_is_refused(files: dict[str, str], said: str, make_project: Project) -> None:
    with pytest.raises(GameNotFoundError, match=re.escape(said)):
        find_game_file(make_project(files))


def test_the_file_of_a_module(make_project: Project) -> None:
    folder = make_project({"a/__init__.py": ""})
    assert file_of_module(folder, "a") == folder / "a" / "__init__.py"
    assert file_of_module(folder, "a.b") == folder / "a" / "b.py"


SECTION = '[tool.retro-gamer]\nreward = "score"\n'


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_nearest_file_with_a_section_is_found(tmp_path: Path) -> None:
    outer = write(tmp_path / "pyproject.toml", SECTION)
    write(tmp_path / "a" / "pyproject.toml", '[project]\nname = "other"\n')
    write(tmp_path / "a" / "b" / "pyproject.toml", 'tool = "no table"\n')
    (tmp_path / "a" / "b" / "c" / "pyproject.toml").mkdir(parents=True)
    assert find_section(tmp_path / "a" / "b" / "c") == (outer, {"reward": "score"})
    inner = write(tmp_path / "a" / "b" / "pyproject.toml", '[tool.retro-gamer]\nreward = "inner"\n')
    assert find_section(tmp_path / "a" / "b" / "c") == (inner, {"reward": "inner"})


@pytest.mark.parametrize("library", ["site-packages", "dist-packages"])
def test_the_search_stops_at_installed_packages(tmp_path: Path, library: str) -> None:
    write(tmp_path / "pyproject.toml", SECTION)
    folder = tmp_path / ".venv" / "lib" / library
    write(folder / "pyproject.toml", SECTION)
    assert find_section(folder / "game") is None
    assert find_section(folder) is None
    assert list(folders_above(folder / "a" / "b")) == [folder / "a" / "b", folder / "a"]
    own = write(folder / "game" / "pyproject.toml", SECTION)
    assert find_section(folder / "game" / "inner") == (own, {"reward": "score"})


@pytest.mark.parametrize("text", ["\ufeff" + SECTION, SECTION.replace("\n", "\r\n")])
def test_files_from_other_editors_are_read(tmp_path: Path, text: str) -> None:
    assert read_section(write(tmp_path / "pyproject.toml", text)) == {"reward": "score"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[tool.retro-gamer]\nactions = ["a",\nreward = \n', 3),
        ("[tool.retro-gamer\n", 1),
        ("a = 1\na = 2\n", 2),
        ("[tool.retro-gamer]\nreward = score\n", 2),
    ],
)
def test_what_is_not_toml_is_named_by_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    path = write(tmp_path / "pyproject.toml", text)
    with pytest.raises(ConfigurationError) as raised:
        find_section(tmp_path / "inner")
    assert f"{path}, line {line}" in str(raised.value)


def test_other_unreadable_files_are_refused_too(tmp_path: Path) -> None:
    path = write(tmp_path / "pyproject.toml", b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_section(path)
    write(path, "a = " + "[" * 3000 + "]" * 3000)
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        read_section(path)
    write(path, "[tool]\nretro-gamer = 3\n")
    with pytest.raises(ConfigurationError, match="must be a table"):
        read_section(path)
