"""Importing a game's modules privately, so that games share nothing with us or with each other.

A student's folder may hold ``numbers.py`` or ``board.py``. With that folder on ``sys.path``, the first
breaks the next import of numpy and the second is taken for another game's ``board.py``. Here the
modules of one game become submodules of a package of its own, and only the game's own import
statements look there first. Loading a game again gives a second copy with its own globals.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import itertools
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

_PREFIX = "retro_game_"
PRIVATE_PACKAGE = re.compile(rf"\b{_PREFIX}\d+\.")
"""What private packages put before the names of modules; messages leave it out."""

_NEVER_PRIVATE = ("retro", "retro_gamer")
_counter = itertools.count(1)


class ModuleSpace:
    """The private modules of one loaded copy of a game.

    A game's ``import name`` is answered from `folders` if a module of that name lies there, else as usual.
    A folder without ``__init__.py`` counts only if nothing else has the name, as in plain Python.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self.name = f"{_PREFIX}{next(_counter)}"
        self.builtins = {**vars(builtins), "__import__": self._import}
        self._folders = list(folders)
        importlib.invalidate_caches()  # files may be newer than what Python last saw of the folder
        self._is_private: dict[str, bool] = {}
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

    def holds(self, module: str) -> bool:
        """Return whether the top of the dotted name is looked up among the game's own modules."""
        top = module.partition(".")[0]
        if top not in self._is_private:
            self._is_private[top] = self._find_private(top)
        return self._is_private[top]

    def unload(self) -> None:
        """Forget the modules. What still refers to their functions keeps working."""
        for name in [n for n in sys.modules if n == self.name or n.startswith(self.name + ".")]:
            del sys.modules[name]
        _spaces.pop(self.name, None)

    def _find_private(self, top: str) -> bool:
        if top in _NEVER_PRIVATE:
            return False
        spec = PathFinder.find_spec(top, self._folders)
        if spec is None:
            return False
        if spec.origin is not None:
            return True
        try:
            return importlib.util.find_spec(top) is None
        except (ImportError, ValueError):
            return True

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what an import statement of the game asks for (the signature is that of ``__import__``)."""
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
        super().exec_module(module)

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Write no bytecode: nothing of ours is left in the user's folder."""


def folders_of(search_path: str, path: str | None) -> list[str]:
    """Return the folders in which a game's imports are looked up: its top folder, then its file's own."""
    folders = [search_path]
    if path is not None:
        own = path if os.path.isdir(path) else os.path.dirname(path)
        if own not in folders:
            folders.append(own)
    return folders
