"""Whose code a file holds: ours, the framework's, a library's, or the game's."""

from __future__ import annotations

import functools
import os
import sysconfig

import retro

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
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
