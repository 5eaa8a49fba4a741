"""Import a game's modules privately, so that games share no modules with us or with each other.

A student's folder may contain ``numbers.py`` or ``board.py``. With that folder on ``sys.path``, the first breaks the
next import of numpy, and another game's ``import board`` gets the second. Here the modules of one game become
submodules of a package of its own, which only the game's own import statements search first. Loading a game again
gives a second copy with its own globals.
"""

from __future__ import annotations

import builtins
import copy
import functools
import importlib
import importlib.util
import itertools
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

import retro

import retro_gamer

_OURS = os.path.dirname(os.path.abspath(retro_gamer.__file__))
FRAMEWORK_FOLDER = os.path.abspath(next(iter(retro.__path__)))
_EXAMPLES = os.path.join(FRAMEWORK_FOLDER, "examples")
_LIBRARIES = tuple(os.path.abspath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def is_below(file: str, folder: str) -> bool:
    """Return whether `file` is `folder` or lies somewhere in it."""
    return file == folder or file.startswith(folder.rstrip(os.sep) + os.sep)


def is_framework(file: str) -> bool:
    """Return whether a file belongs to the framework itself (its examples are games)."""
    return is_below(file, FRAMEWORK_FOLDER) and not is_below(file, _EXAMPLES)


def is_machinery(file: str) -> bool:
    """Return whether a file belongs to the import system, the framework or retro-gamer, which run every game."""
    return file.startswith("<frozen") or is_framework(file) or is_below(file, _OURS)


@functools.lru_cache(maxsize=4096)
def is_library(file: str) -> bool:
    """Return whether a file is installed code, not a game's own."""
    if is_machinery(file):
        return True
    return any(is_below(file, place) for place in _LIBRARIES) and not is_below(file, _EXAMPLES)


_PREFIX = "retro_game_"
PRIVATE_PACKAGE = re.compile(rf"\b{_PREFIX}\d+\.")
"""The prefix of private modules' names. Messages leave it out."""

_NEVER_PRIVATE = ("retro", "retro_gamer")
_MAIN = "__main__"
_counter = itertools.count(1)


class ModuleSpace:
    """The private modules of one loaded copy of a game.

    A game's ``import name`` finds a module of that name in `folders`, else works as usual. A folder without
    ``__init__.py`` counts only if nothing else has the name, as in plain Python. `locate` maps a file of the game to
    the path that its module gets as ``__file__``.
    """

    def __init__(self, folders: Sequence[str], locate: Callable[[str], str] | None = None) -> None:
        self._locate = locate
        self._folders = list(folders)
        self._path_before = frozenset(sys.path)
        self._is_private: dict[str, bool] = {}
        importlib.invalidate_caches()  # the folder may have changed since Python listed it
        self._register()

    def renewed(self) -> ModuleSpace:
        """Unload this space, and return a new one for the same folders, with nothing loaded."""
        self.unload()
        space = copy.copy(self)
        space._folders = list(self._folders)
        space._register()
        return space

    def _register(self) -> None:
        self.name = f"{_PREFIX}{next(_counter)}"
        self.builtins = {**vars(builtins), "__import__": self._import}
        self.main: ModuleType | None = None
        self._unloaded: dict[str, ModuleType] = {}
        self._partial: dict[str, ModuleType] = {}
        package = ModuleType(self.name, "The modules of one loaded game.")
        package.__path__ = self._folders
        package.__package__ = self.name
        sys.modules[self.name] = package
        _spaces[self.name] = self
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())

    def load(self, module: str) -> ModuleType:
        """Return the game's module of that dotted name; run it if it has not been loaded yet.

        Raises:
            whatever its code raises.
        """
        return importlib.import_module(f"{self.name}.{module}")

    def run(self, module: str) -> ModuleType:
        """Run the game's module as ``python file.py`` does, under the name ``__main__``, and return it.

        `main` is that module from its first line on, even if it raises; so is ``sys.modules["__main__"]``, which the
        caller must restore.

        Raises:
            ModuleNotFoundError: if there is no such module.
            whatever its code raises.
        """
        name = f"{self.name}.{module}"
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        self.main = importlib.util.module_from_spec(spec)
        self.main.__name__ = _MAIN
        sys.modules[name] = sys.modules[_MAIN] = self.main
        spec.loader.exec_module(self.main)
        return self.main

    def partial(self, module: str) -> ModuleType | None:
        """Return the game's module of that name as far as it was run, even if it was left; None if it never was."""
        return self._partial.get(f"{self.name}.{module}")

    @property
    def modules(self) -> list[ModuleType]:
        """The game's own modules that have been loaded so far."""
        return [m for name, m in list(sys.modules.items()) if name.startswith(self.name + ".")]

    def contains(self, module: str) -> bool:
        """Return whether the first part of the dotted name is one of the game's own modules."""
        top = module.partition(".")[0]
        if top not in self._is_private:
            self._is_private[top] = self._find_private(top)
        return self._is_private[top]

    def add_partial(self, name: str, module: ModuleType) -> None:
        """Keep a module whose code is about to run."""
        self._partial[name] = module

    def unload(self) -> None:
        """Remove the modules from Python's table. Code that still refers to their functions keeps working."""
        for name in [n for n in sys.modules if n == self.name or n.startswith(self.name + ".")]:
            self._unloaded[name] = sys.modules.pop(name)
        _spaces.pop(self.name, None)

    def locate(self, file: str) -> str:
        """Return the ``__file__`` of the module of that file."""
        return file if self._locate is None else self._locate(file)

    def _find_private(self, top: str) -> bool:
        if top in _NEVER_PRIVATE:
            return False
        self._add_new_folders()
        spec = PathFinder.find_spec(top, self._folders)
        if spec is None:
            return False
        if spec.origin is not None:
            return True
        try:
            return importlib.util.find_spec(top) is None
        except (ImportError, ValueError):
            return True

    def _add_new_folders(self) -> None:
        """Search also the game's own folders that its code has put on ``sys.path``."""
        top = self._folders[0]
        top_located = os.path.normpath(self.locate(top))
        for folder in [os.path.abspath(entry) for entry in sys.path if entry not in self._path_before]:
            place = os.path.normpath(os.path.join(top, os.path.relpath(folder, top_located)))
            place = place if is_below(folder, top_located) else folder
            if is_below(place, top) and place not in self._folders and os.path.isdir(place):
                self._folders.append(place)

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Run an import statement of the game (the signature is that of ``__import__``)."""
        if name == _MAIN and self.main is not None and not level:
            return self.main
        if self._unloaded and self.name not in sys.modules:  # an older game that imports something late
            sys.modules.update(self._unloaded)
            _spaces[self.name] = self
        if level or not self.contains(name):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = builtins.__import__(f"{self.name}.{name}", globals, locals, fromlist or (), 0)
        return module if fromlist else sys.modules[f"{self.name}.{name.partition('.')[0]}"]


_spaces: dict[str, ModuleSpace] = {}


class _Finder:
    """Finds the modules of every `ModuleSpace` and gives them its import statement."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        space = _spaces.get(name.partition(".")[0])
        if space is None or path is None:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(space, spec.loader.name, str(spec.loader.path))
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, space: ModuleSpace, name: str, path: str) -> None:
        super().__init__(name, path)
        self._space = space

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._space.builtins
        module.__file__ = self._space.locate(self.path)
        self._space.add_partial(self.name, module)
        exec(_compiled(self), module.__dict__)

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled code of the module, whatever its name."""
        return _compiled(self)

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Write no bytecode, so that the user's folder does not change."""


_codes: dict[str, tuple[tuple[int, int], CodeType]] = {}


def _compiled(loader: _Loader) -> CodeType:
    """Return the code of a module, compiled once for all copies until its file changes."""
    status = os.stat(loader.path)
    version = (status.st_mtime_ns, status.st_size)
    known = _codes.get(loader.path)
    if known is None or known[0] != version:
        known = _codes[loader.path] = (version, loader.source_to_code(loader.get_data(loader.path), loader.path))
    return known[1]


def folders_of(search_path: str, path: str | None) -> list[str]:
    """Return the folders that a game's imports search: its top folder, then that of its file."""
    folders = [search_path]
    if path is not None:
        own = path if os.path.isdir(path) else os.path.dirname(path)
        if own not in folders:
            folders.append(own)
    return folders
