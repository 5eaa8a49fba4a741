"""Finding the one file of a folder that builds its game."""

from __future__ import annotations

import ast
import os
from pathlib import Path

from retro_gamer.errors import GameNotFoundError, printable, shown
from retro_gamer.games.loading.pyproject import find_section

FACTORY_NAME = "create_game"
_USUAL_NAMES = ("__init__", "main", "game", "__main__")


def find_game_file(folder: Path, factory: str | None) -> Path:
    """Return the file that holds the game: the factory's, one that defines ``create_game`` or plays, or the only one.

    Without a `factory`, that of the folder's description counts. No code is run.

    Raises:
        GameNotFoundError: if no file stands out.
    """
    files = _module_files(folder)
    chosen = _choose(folder, files, factory or _described_factory(folder))
    if chosen is not None:
        return chosen
    place = shown(str(folder), 200)
    if not files:
        raise GameNotFoundError(f"{place} holds no Python files. Name the file or the folder of a game.")
    names = printable(", ".join(file.name for file in files[:12]))
    several = [file for file in files if _defines_factory(file)]
    if several:
        raise GameNotFoundError(
            f"{place} holds {names}, and several of them define {FACTORY_NAME}().\n"
            f"Name the one that builds the game, for example {printable(several[0].name)}."
        )
    raise GameNotFoundError(
        f"{place} holds {names}, and none of them alone defines {FACTORY_NAME}().\n"
        f"Name the file that builds the game, for example {printable(files[0].name)}, or put a function "
        f"{FACTORY_NAME}() into it that returns a new Game."
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
    patterns = ("*/__init__.py", "*/__main__.py", "*/main.py", "src/*.py", "src/*/*.py")
    below = [path for pattern in patterns for path in folder.glob(pattern)]
    return own + sorted(set(below))


def _choose(folder: Path, files: list[Path], factory: str | None) -> Path | None:
    if factory:
        named = file_of_module(folder, factory.partition(":")[0])
        if named.is_file():
            return named
    candidates = [file for file in files if _defines_factory(file)]
    if not candidates:
        own = {file.stem for file in files} | {file.parent.name for file in files}
        imported = {name for file in files for name in _names_imported_by(file, own)}
        entries = [file for file in files if file.stem not in imported]
        candidates = [file for file in entries if _plays(file)] or [f for f in entries if f.parent == folder]
    candidates = candidates or [file for file in files if file.parent == folder]
    if len(candidates) == 1:
        return candidates[0]
    for name in (*_USUAL_NAMES, folder.name):
        for file in candidates:
            if file.parent == folder and file.stem == name:
                return file
    return None


def _defines_factory(path: Path) -> bool:
    tree = _parse(path)
    return tree is not None and any(FACTORY_NAME in _names_bound_by(node) for node in tree.body)


def _plays(path: Path) -> bool:
    """Return whether a file calls something's ``play()``: games that have no factory end so."""
    tree = _parse(path)
    return tree is not None and any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "play"
        for node in ast.walk(tree)
    )


def _names_imported_by(path: Path, own: set[str]) -> set[str]:
    """Return the last parts of those modules of the project that a file imports: they are no game's beginning.

    `own` are the names of the project's modules and folders: ``retro.game`` is not its ``game``.
    """
    tree = _parse(path)
    names: set[str] = set()
    for node in ast.walk(tree) if tree is not None else ():
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names.update([node.module.rpartition(".")[2]] if node.module else [alias.name for alias in node.names])
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        names.update(module.rpartition(".")[2] for module in modules if module.partition(".")[0] in own)
    return names


def _parse(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return None  # importing it will say what is wrong


def _names_bound_by(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []
