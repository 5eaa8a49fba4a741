from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from retro_gamer.errors import GameFailedError
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.loading.pyproject import heading_of, names_of, read_scripts

Project = Callable[[dict[str, str]], Path]
PLAY = (
    "from retro.game import Game\nfrom retro.agent import ArrowKeyAgent\n"
    "def begin():\n    Game([ArrowKeyAgent()], {'score': 0}).play()\n"
)


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        ('[project.scripts]\nplay = "g.main:run"\n', ["g.main:run"]),
        ('[project.gui-scripts]\nw = "w:open"\n[project.scripts]\na = "g:a"\nb = "g:b"\n', ["g:a", "g:b", "w:open"]),
        ('[project.scripts]\na = " g.main : app.run [sound, net] "\n', ["g.main:app.run"]),
        ('[project.scripts]\na = "g"\nb = 3\nc = ""\n', []),
        ('[project]\nscripts = "g:run"\n', []),
        ('project = "g:run"\ntool = 3\n', []),
        ('[tool.poetry.scripts]\nplay = "g:run"\nold = {callable = "g:old"}\n', ["g:run"]),
        ("[project\n", []),
        ("", []),
    ],
)
def test_scripts_are_read_in_the_order_of_the_file(text: str, scripts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    assert read_scripts(path) == scripts


def project_with(scripts: str) -> str:
    return f'[project]\nname = "g"\n[project.scripts]\n{scripts}\n'


@pytest.mark.parametrize(
    ("scripts", "code", "how"),
    [
        ('play = "pack.game:begin"', PLAY, "begin() of [project.scripts]"),
        ('a = "pack.game:nothing"\nb = "pack.game:begin"', f"{PLAY}def nothing(): pass\n", "begin() of"),
        ('a = "pack.game:needs"\nb = "pack.game:begin"', f"{PLAY}def needs(x): pass\n", "begin() of"),
        ('a = "pack.game:missing"', f"{PLAY}begin()\n", "running pack/game.py"),
        ('a = "pack.game:other"', f"{PLAY}def other(): 1 / 0\ndef main(): begin()\n", "main()"),
        ('a = "elsewhere:begin"', f"{PLAY}def main(): begin()\n", "main()"),
        ('a = "pack.game:begin"', f"{PLAY}def create_game(): begin()\n", "create_game()"),
        ('a = "pack.game:begin"', f"{PLAY}if __name__ == '__main__': begin()\n", "begin() of"),
    ],
)
def test_a_script_starts_the_game_after_a_factory_and_before_its_program(
    scripts: str, code: str, how: str, make_project: Project
) -> None:
    folder = make_project({"pyproject.toml": project_with(scripts), "pack/__init__.py": "", "pack/game.py": code})
    assert load_factory(find_source(str(folder / "pack" / "game.py"))).how.startswith(how)


def test_the_error_of_a_script_is_reported_if_nothing_else_plays(make_project: Project) -> None:
    text = project_with('play = "game:begin"')
    folder = make_project({"pyproject.toml": text, "game.py": "def begin():\n    1 / 0\n"})
    with pytest.raises(GameFailedError, match=r"game\.py:2: ZeroDivisionError"):
        load_factory(find_source(str(folder / "game.py")))


def test_a_file_that_no_script_is_in_starts_on_its_own(make_project: Project) -> None:
    text = project_with('play = "pack.game:begin"')
    files = {"pyproject.toml": text, "pack/__init__.py": "", "pack/game.py": PLAY, "pack/other.py": f"{PLAY}begin()\n"}
    folder = make_project(files)
    assert find_source(str(folder / "pack" / "other.py")).scripts == ()
    assert find_source(str(folder)).module == "pack.game"


@pytest.mark.parametrize(
    ("module", "file", "names"),
    [
        ("snake", "/p/snake.py", ["snake"]),
        ("snake", "/p/games/snake.py", ["games.snake", "snake"]),
        ("snake.game", "/p/src/snake/game.py", ["src.snake.game", "snake.game", "src.snake", "snake"]),
        ("snake", "/p/snake/__init__.py", ["snake"]),
        ("snake.__main__", "/p/snake/__main__.py", ["snake"]),
        ("snake", "/elsewhere/snake.py", ["snake"]),
        ("snake", None, ["snake"]),
    ],
)
def test_the_names_of_a_game(module: str, file: str | None, names: list[str]) -> None:
    assert names_of(module, None if file is None else Path(file), Path("/p")) == names


def test_a_heading_quotes_what_is_no_bare_key() -> None:
    assert heading_of(("tool", "retro-gamer", "games", "a.b")) == '[tool.retro-gamer.games."a.b"]'
