"""Importing a game's modules privately, so that games share nothing with us or with each other.

A student's folder may hold ``numbers.py`` or ``board.py``. With that folder on ``sys.path``, the first
breaks the next import of numpy and the second is taken for another game's ``board.py``. Here the
modules of one game become submodules of a package of its own, and only the game's own import
statements look there first. Loading a game again gives a second copy with its own globals.
"""

from __future__ import annotations

import builtins
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
    """Return whether a file is part of how every game is run: import, framework, retro-gamer."""
    return file.startswith("<frozen") or is_framework(file) or is_below(file, _OURS)


@functools.lru_cache(maxsize=4096)
def is_library(file: str) -> bool:
    """Return whether a file is installed code rather than a game's own."""
    if is_machinery(file):
        return True
    return any(is_below(file, place) for place in _LIBRARIES) and not is_below(file, _EXAMPLES)


_PREFIX = "retro_game_"
PRIVATE_PACKAGE = re.compile(rf"\b{_PREFIX}\d+\.")
"""What private packages put before the names of modules; messages leave it out."""

_NEVER_PRIVATE = ("retro", "retro_gamer")
_MAIN = "__main__"
_counter = itertools.count(1)


class ModuleSpace:
    """The private modules of one loaded copy of a game.

    A game's ``import name`` is answered from `folders` if a module of that name lies there, else as usual.
    A folder without ``__init__.py`` counts only if nothing else has the name, as in plain Python.
    """

    def __init__(self, folders: Sequence[str], locate: Callable[[str], str] | None = None) -> None:
        self.name = f"{_PREFIX}{next(_counter)}"
        self.builtins = {**vars(builtins), "__import__": self._import}
        self.main: ModuleType | None = None
        self._locate = locate
        self._folders = list(folders)
        self._path_before = frozenset(sys.path)
        self._kept: dict[str, ModuleType] = {}
        self._begun: dict[str, ModuleType] = {}
        self._is_private: dict[str, bool] = {}
        importlib.invalidate_caches()  # files may be newer than what Python last saw of the folder
        self._register()

    def renewed(self) -> ModuleSpace:
        """Return another space for the same folders, for which nothing has been run yet, and unload this one."""
        self.unload()
        space = ModuleSpace.__new__(ModuleSpace)
        space.__dict__.update(self.__dict__)
        space.name = f"{_PREFIX}{next(_counter)}"
        space.builtins = {**vars(builtins), "__import__": space._import}
        space.main = None
        space._folders = list(self._folders)
        space._kept = {}
        space._begun = {}
        space._register()
        return space

    def _register(self) -> None:
        package = ModuleType(self.name, "The modules of one loaded game.")
        package.__path__ = self._folders
        package.__package__ = self.name
        sys.modules[self.name] = package
        _spaces[self.name] = self
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())

    def load(self, module: str) -> ModuleType:
        """Return the game's module of that dotted name, run if it was not yet.

        Raises:
            whatever its code raises.
        """
        return importlib.import_module(f"{self.name}.{module}")

    def run(self, module: str) -> ModuleType:
        """Run the game's module as ``python file.py`` does, under the name ``__main__``, and return it.

        `main` is that module from the first line on, whatever comes of it; so is ``sys.modules["__main__"]``, which
        is for the caller to put back.

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
        """Return the game's module of that name as far as it was run, even if its code was left; None if never."""
        return self._begun.get(f"{self.name}.{module}")

    @property
    def modules(self) -> list[ModuleType]:
        """The game's own modules that have been loaded so far."""
        return [m for name, m in list(sys.modules.items()) if name.startswith(self.name + ".")]

    def holds(self, module: str) -> bool:
        """Return whether the top of the dotted name is looked up among the game's own modules."""
        top = module.partition(".")[0]
        if top not in self._is_private:
            self._is_private[top] = self._find_private(top)
        return self._is_private[top]

    def note_begun(self, name: str, module: ModuleType) -> None:
        """Remember a module whose code is about to be run."""
        self._begun[name] = module

    def unload(self) -> None:
        """Forget the modules. What still refers to their functions keeps working."""
        for name in [n for n in sys.modules if n == self.name or n.startswith(self.name + ".")]:
            self._kept[name] = sys.modules.pop(name)
        _spaces.pop(self.name, None)

    def locate(self, file: str) -> str:
        """Return what a module of that file is told as its ``__file__``."""
        return file if self._locate is None else self._locate(file)

    def _find_private(self, top: str) -> bool:
        if top in _NEVER_PRIVATE:
            return False
        self._take_in_new_folders()
        spec = PathFinder.find_spec(top, self._folders)
        if spec is None:
            return False
        if spec.origin is not None:
            return True
        try:
            return importlib.util.find_spec(top) is None
        except (ImportError, ValueError):
            return True

    def _take_in_new_folders(self) -> None:
        """Look also in those folders of the game that its code has put on ``sys.path``."""
        top = self._folders[0]
        top_told = os.path.normpath(self.locate(top))
        for folder in [os.path.abspath(entry) for entry in sys.path if entry not in self._path_before]:
            place = os.path.normpath(os.path.join(top, os.path.relpath(folder, top_told)))
            place = place if is_below(folder, top_told) else folder
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
        """Do what an import statement of the game asks for (the signature is that of ``__import__``)."""
        if name == _MAIN and self.main is not None and not level:
            return self.main
        if self._kept and self.name not in sys.modules:  # an older game, which imports something only now
            sys.modules.update(self._kept)
            _spaces[self.name] = self
        if level or not self.holds(name):
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
        self._space.note_begun(self.name, module)
        exec(_compiled(self), module.__dict__)

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled code of the module, whatever it is called."""
        return _compiled(self)

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Write no bytecode: nothing of ours is left in the user's folder."""


_codes: dict[str, tuple[tuple[int, int], CodeType]] = {}


def _compiled(loader: _Loader) -> CodeType:
    """Return the code of a module, compiled once for all copies as long as its file stays the same."""
    status = os.stat(loader.path)
    version = (status.st_mtime_ns, status.st_size)
    known = _codes.get(loader.path)
    if known is None or known[0] != version:
        known = _codes[loader.path] = (version, loader.source_to_code(loader.get_data(loader.path), loader.path))
    return known[1]


def folders_of(search_path: str, path: str | None) -> list[str]:
    """Return the folders in which a game's imports are looked up: its top folder, then its file's own."""
    folders = [search_path]
    if path is not None:
        own = path if os.path.isdir(path) else os.path.dirname(path)
        if own not in folders:
            folders.append(own)
    return folders
