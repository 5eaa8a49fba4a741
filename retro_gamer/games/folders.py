"""Finding the one file of a folder that builds its game."""

from __future__ import annotations

import ast
import os
from pathlib import Path

from retro_gamer.errors import GameNotFoundError, printable, shown
from retro_gamer.games.pyproject import find_section

FACTORY_NAME = "create_game"
_USUAL_NAMES = ("__init__", "main", "game", "__main__")


def find_game_file(folder: Path, factory: str | None) -> Path:
    """Return the file that holds the game: the factory's, one that defines ``create_game``, or the only one.

    Without a `factory`, that of the folder's description counts. No code is run.

    Raises:
        GameNotFoundError: if no file stands out.
    """
    files = _module_files(folder)
    chosen = _choose(folder, files, factory or _described_factory(folder))
    if chosen is not None:
        return chosen
    names = printable(", ".join(file.name for file in files[:12])) or "no Python files"
    raise GameNotFoundError(
        f"{shown(str(folder), 200)} holds {names}, and none of them alone defines {FACTORY_NAME}().\n"
        f"Name the file that builds the game, for example {printable(files[0].name) if files else 'main.py'}, or put "
        f"a function {FACTORY_NAME}() into it that returns a new Game."
    )


def file_of_module(folder: Path, module: str) -> Path:
    """Return where the dotted `module` below `folder` is or would be (a package's ``__init__.py`` if it is one)."""
    base = folder.joinpath(*module.split("."))
    package = base / "__init__.py"
    return package if os.path.isfile(package) else base.with_name(base.name + ".py")


def _described_factory(folder: Path) -> str | None:
    found = find_section(folder)
    factory = found[1].get("factory") if found else None
    return factory if isinstance(factory, str) else None


def _module_files(folder: Path) -> list[Path]:
    own = sorted(folder.glob("*.py"))
    if (folder / "__init__.py").is_file():
        return own
    below = [path for pattern in ("*/__init__.py", "src/*.py", "src/*/__init__.py") for path in folder.glob(pattern)]
    return own + sorted(set(below))


def _choose(folder: Path, files: list[Path], factory: str | None) -> Path | None:
    if factory:
        named = file_of_module(folder, factory.partition(":")[0])
        if named.is_file():
            return named
    candidates = [file for file in files if _defines_factory(file)]
    candidates = candidates or [file for file in files if file.parent == folder]
    if len(candidates) == 1:
        return candidates[0]
    for name in (*_USUAL_NAMES, folder.name):
        for file in candidates:
            if file.parent == folder and file.stem == name:
                return file
    return None


def _defines_factory(path: Path) -> bool:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return False  # importing it will say what is wrong
    return any(FACTORY_NAME in _names_bound_by(node) for node in tree.body)


def _names_bound_by(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []
