"""Find a game, given as a dotted module, a file or a folder."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib.util
import os
import pkgutil
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from retro_gamer.errors import GameFailedError, GameNotFoundError, printable, quoted
from retro_gamer.games.loading.failures import describe_failure
from retro_gamer.games.loading.pyproject import find_section, names_of, plain_fields, scripts_above

FACTORY_NAME = "create_game"
_MOST_FILES_READ = 200
_USUAL_NAMES = ("__init__", "main", "game", "__main__")


def find_game_file(folder: Path) -> Path:
    """Return the file of the game in a folder. No code is run.

    It is that of the described factory, one that defines ``create_game``, one that the project starts, one that plays,
    or the only one.

    Raises:
        GameNotFoundError: if there is no such file, or more than one.
    """
    files = _module_files(folder)
    chosen = _choose(folder, files, _described_factory(folder))
    if chosen is not None:
        return chosen
    place = quoted(str(folder), 200)
    if not files:
        raise GameNotFoundError(f"{place} contains no Python files. Name the file or the folder of a game.")
    names = printable(", ".join(file.name for file in files[:12]))
    several = [file for file in files if _defines_factory(file)]
    if several:
        raise GameNotFoundError(
            f"{place} contains {names}, and several of them define {FACTORY_NAME}().\n"
            f"Name the one that builds the game, for example {printable(several[0].name)}."
        )
    raise GameNotFoundError(
        f"{place} contains {names}, but not exactly one of them defines {FACTORY_NAME}().\n"
        f"Name the file that builds the game, for example {printable(files[0].name)}, or add a function "
        f"{FACTORY_NAME}() to it that returns a new Game."
    )


def file_of_module(folder: Path, module: str) -> Path:
    """Return the path of the dotted `module` below `folder`, existing or not (of a package its ``__init__.py``)."""
    base = folder.joinpath(*module.split("."))
    package = base / "__init__.py"
    return package if os.path.isfile(package) else base.with_name(base.name + ".py")


def _described_factory(folder: Path) -> str | None:
    found = find_section(folder)
    factory = plain_fields(found[1]).get("factory") if found else None
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
    started = [] if candidates else _files_of_scripts(folder)
    if started:
        return next((file for file in started if _plays(file)), started[0])
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


def _files_of_scripts(folder: Path) -> list[Path]:
    """Return the files below `folder` whose functions the project starts as programs."""
    found = scripts_above(folder)
    if found is None:
        return []
    home, scripts = found
    modules = [script.partition(":")[0] for script in scripts]
    files = [file_of_module(top, module) for module in modules for top in (home, home / "src")]
    return [file for file in files if file.is_file() and file.is_relative_to(os.path.abspath(folder))]


def find_other_games(folder: Path, own: Path) -> list[Path]:
    """Return the files beside `own`, or in or just below `folder`, that start other games. No code is run."""
    near = {*_module_files(folder), *own.parent.glob("*.py"), *folder.glob("*/*.py")}
    files = sorted(file for file in near if file != own and file.is_relative_to(folder))[:_MOST_FILES_READ]
    starting = [file for file in files if _defines_factory(file) or _plays(file)]
    names = {file.stem for file in (*files, own)} | {file.parent.name for file in (*files, own)}
    imported = {file: _names_imported_by(file, names) for file in (*files, own) if file.is_file()}
    taken = {name for file in imported for name in imported[file]}
    return [
        file
        for file in starting
        if file.stem not in taken and own.stem not in imported[file] and not file.stem.startswith("test")
    ]


def _defines_factory(path: Path) -> bool:
    tree = _parse(path)
    return tree is not None and any(FACTORY_NAME in _names_bound_by(node) for node in tree.body)


def _plays(path: Path) -> bool:
    """Return whether a file calls a ``play()`` method, as games without a factory do."""
    tree = _parse(path)
    return tree is not None and any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "play"
        for node in ast.walk(tree)
    )


def _names_imported_by(path: Path, own: set[str]) -> set[str]:
    """Return the last parts of the project's modules that a file imports. An imported module does not start the game.

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
        return None  # the error is reported when the file is imported


def _names_bound_by(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


FRAMEWORK = "retro"


@dataclasses.dataclass(frozen=True, kw_only=True)
class GameSource:
    """The location of a game, in plain strings that can be sent to any process.

    module: its dotted name below `search_path`
    path: the absolute file or folder that was given, None for a dotted name
    search_path: the folder that the game's imports search first, None for an installed module
    factory: "module:name", None for the module's own ``create_game``
    answers: the lines that a player would type before the game starts
    scripts: the functions of the game that its project starts as programs, each "module:name"
    """

    module: str
    path: str | None = None
    search_path: str | None = None
    factory: str | None = None
    answers: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The game's name in messages."""
        return printable(self.path or self.module)

    def located(self, folder: str) -> GameSource:
        """Return the same game, with paths relative to `folder` made absolute."""
        path, search_path = (
            place and os.path.normpath(os.path.join(folder, place)) for place in (self.path, self.search_path)
        )
        return dataclasses.replace(self, path=path, search_path=search_path)

    @property
    def file(self) -> Path | None:
        """The file of the module, None for an installed one."""
        return None if self.search_path is None else file_of_module(Path(self.search_path), self.module)

    def names_in(self, folder: Path) -> list[str]:
        """Return the names that a section in a pyproject.toml of `folder` may give the game, the best first."""
        return names_of(self.module, self.file, folder)

    @property
    def folder(self) -> Path:
        """The folder of the module, where the search for its description starts."""
        if self.path is not None:
            return Path(self.path) if os.path.isdir(self.path) else Path(self.path).parent
        if self.file is not None:
            return self.file.parent
        spec = find_spec(self.module)
        if spec is None or spec.origin in (None, "built-in", "frozen"):
            places = list(spec.submodule_search_locations or []) if spec else []
            return Path(places[0]) if places else Path.cwd()
        return Path(str(spec.origin)).parent


def find_source(game: str) -> GameSource:
    """Return the source of `game`, a dotted module, a ``.py`` file or a folder. The game's code is not run.

    A dotted name is searched in the current directory first, as ``python -m`` does.

    Raises:
        GameNotFoundError: if there is no such module, file or folder, or the folder contains no game.
        GameFailedError: if a package must be imported for the search, and fails.
    """
    source = _locate(game)
    found = scripts_above(source.folder) if source.module.partition(".")[0] != FRAMEWORK else None
    is_package = source.file is not None and source.file.name == "__init__.py"
    scripts = [
        script
        for script in (found[1] if found else ())
        if script.startswith(f"{source.module}:") or (is_package and script.startswith(f"{source.module}."))
    ]
    return dataclasses.replace(source, scripts=tuple(scripts))


def _locate(game: str) -> GameSource:
    path = Path(os.path.abspath(os.path.expanduser(game))) if game else Path()
    looks_like_path = game.endswith(".py") or "/" in game or os.sep in game or game in (".", "..", "~")
    if not looks_like_path and _is_dotted(game):
        source = _find_dotted(game)
        if source is not None:
            return source
    if game and os.path.isdir(path):
        return _find_in_folder(path)
    if looks_like_path and path.suffix == ".py" and os.path.isfile(path):
        return _source_of_file(path)
    raise _not_found(game, path, looks_like_path)


def describe_source(source: GameSource, values: Mapping[str, Any]) -> GameSource:
    """Return the source with the factory and the answers of a description, if they are usable."""
    factory, answers = values.get("factory"), values.get("answers")
    is_text = isinstance(answers, (list, tuple)) and all(isinstance(answer, str) for answer in answers)
    return dataclasses.replace(
        source,
        factory=factory if isinstance(factory, str) else source.factory,
        answers=tuple(answers) if answers is not None and is_text else source.answers,
    )


def source_of_module(module: ModuleType) -> GameSource:
    """Return the source of an imported module, for finding its description only."""
    file = getattr(module, "__file__", None)
    if module.__name__ != "__main__" and getattr(module, "__spec__", None) is not None:
        return GameSource(module=module.__name__)
    path = os.path.abspath(file) if file else os.getcwd()
    return GameSource(module=module.__name__, path=path, search_path=os.path.dirname(path))


def find_spec(name: str) -> ModuleSpec | None:
    """Return the spec of an installed module, or None. Packages above it are imported.

    Raises:
        GameFailedError: if one of those packages raises.
    """
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            return None
        raise GameFailedError(f"{name} cannot be imported: {describe_failure(error)}") from None
    except (ValueError, AttributeError):
        return None
    except (Exception, SystemExit) as error:
        raise GameFailedError(f"{name} cannot be imported: {describe_failure(error)}") from None


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _find_dotted(name: str) -> GameSource | None:
    here = Path.cwd()
    if name.partition(".")[0] != FRAMEWORK and os.path.isfile(file_of_module(here, name)):
        return GameSource(module=name, search_path=str(here))
    spec = find_spec(name)
    if spec is None or (spec.origin is None and not _has_modules(spec)):
        return None
    if spec.origin is None and Path(next(iter(spec.submodule_search_locations or ()), "")) == here / name:
        return None  # a plain folder of the current directory, whose files are searched one by one
    return GameSource(module=name)


def _has_modules(spec: ModuleSpec) -> bool:
    return any(list(Path(place).glob("*.py")) for place in spec.submodule_search_locations or ())


def _source_of_file(path: Path) -> GameSource:
    """Name the module of a file from the outermost package around it."""
    if "." in path.stem:
        name = quoted(path.name, 100)
        raise GameNotFoundError(f"{name} cannot be imported; rename it so that it has no dot but that of .py")
    is_package = path.name == "__init__.py"
    parts = [] if is_package else [path.stem]
    root = path.parent
    while (root / "__init__.py").is_file() and root.name.isidentifier() and root != root.parent:
        parts.insert(0, root.name)
        root = root.parent
    if not parts:
        parts, root = [path.stem], path.parent
    source = GameSource(module=".".join(parts), path=str(path), search_path=str(root))
    return _installed_example(source) or source


def _installed_example(source: GameSource) -> GameSource | None:
    """Return the source of a framework's file by its dotted name, which its built-in description has."""
    spec = importlib.util.find_spec(FRAMEWORK)
    path = Path(str(source.path))
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if path.is_relative_to(place):
            inside = path.parent if path.name == "__init__.py" else path.with_suffix("")
            name = ".".join((FRAMEWORK, *inside.relative_to(place).parts))
            found = find_spec(name) if _is_dotted(name) else None
            if found is not None and found.origin == str(path):
                return GameSource(module=name)
    return None


def _find_in_folder(folder: Path) -> GameSource:
    source = _source_of_file(find_game_file(folder))
    return dataclasses.replace(source, path=str(folder)) if source.search_path else source


def _not_found(game: str, path: Path, looks_like_path: bool) -> GameNotFoundError:
    name = quoted(game, 200)
    if looks_like_path:
        near = difflib.get_close_matches(path.name, _names_in(path.parent), n=1)
        hint = f" Did you mean {printable(near[0])}?" if near else ""
        return GameNotFoundError(f"there is no game at {name} (no file or folder {quoted(str(path), 300)}).{hint}")
    parent, _, last = game.rpartition(".")
    siblings = _modules_in(parent) if _is_dotted(game) else []
    near = difflib.get_close_matches(last, siblings, n=1)
    hint = f" Did you mean {parent + '.' if parent else ''}{printable(near[0])}?" if near else ""
    return GameNotFoundError(
        f"there is no module {name}, neither in the current directory nor installed.{hint}\n"
        "Give a dotted module (retro.examples.snake), a file (game.py) or a folder."
    )


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir() if p.suffix == ".py" or p.is_dir())
    except OSError:
        return []


def _modules_in(package: str) -> list[str]:
    if not package:
        return [Path(name).stem for name in _names_in(Path.cwd())]
    try:
        spec = find_spec(package)
    except GameFailedError:
        return []
    places = list(spec.submodule_search_locations or ()) if spec else []
    return sorted({module.name for module in pkgutil.iter_modules(places)})
