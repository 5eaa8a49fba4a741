"""A folder for a game to write in, with copies of the files that lie beside it.

A game reads ``levels.txt`` and writes ``scores.txt`` in the folder it is started from, which is usually its own. Here
it finds copies, and what it writes stays away from the user's folder and from the games of other processes.
"""

from __future__ import annotations

import atexit
import os
import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from retro_gamer.games.code_places import is_below
from retro_gamer.games.leftovers import make_held
from retro_gamer.games.loading.find import FRAMEWORK, GameSource

_MOST_FILES = 2000
_MOST_BYTES = 64 * 1024 * 1024
NEUTRAL_PREFIX = "retro-gamer-neutral-"
_LEFT_OUT = ("__pycache__", "node_modules", "site-packages", "checkpoints")
_ENVIRONMENT_MARK = "pyvenv.cfg"


class Scratch:
    """The folder of one process for the games that lie in the folder `base`, made when it is first needed.

    Copied are the files in and below `base`, the nearest first, up to 2,000 files and 64 MB; hidden ones, virtual
    environments and checkpoints are left out. `left_out` says whether something did not fit.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self.left_out = False
        self._path: str | None = None
        self._before: str | None = None
        self._stays = False

    @property
    def path(self) -> str:
        """The folder."""
        if self._path is None or not os.path.isdir(self._path):
            self._path = make_held("retro-gamer-game-", _neutral_folder())
            atexit.register(_remove, self._path, os.getpid())
            self._copy()
        return self._path

    def enter(self) -> None:
        """Stand in the folder."""
        if self._stays:
            return
        self._before = _here()
        os.chdir(self.path)

    def exit(self) -> None:
        """Stand where we stood before."""
        if self._before is not None:
            os.chdir(self._before)
            self._before = None

    def stay(self) -> None:
        """Stand in the folder for good: this process does nothing but play."""
        os.chdir(self.path)
        self._stays = True

    def mirrored(self, file: str) -> str:
        """Return where the copy of a file of the game is, or the file itself if it was not copied."""
        if not is_below(file, self.base):
            return file
        copy = os.path.join(self.path, os.path.relpath(file, self.base))
        return copy if not self.left_out and os.path.exists(copy) else file

    def _copy(self) -> None:
        n_files = n_bytes = 0
        for file in _files_below(self.base):
            try:
                n_files, n_bytes = n_files + 1, n_bytes + os.path.getsize(file)
                if n_files > _MOST_FILES or n_bytes > _MOST_BYTES:
                    self.left_out = True
                    return
                target = os.path.join(str(self._path), os.path.relpath(file, self.base))
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(file, target)
            except OSError:  # unreadable, or gone meanwhile: the game will say what it misses
                self.left_out = True


def _remove(folder: str, maker: int) -> None:
    """Remove a folder at the end of the process that made it, and not of one that a game forked off."""
    if os.getpid() == maker:
        shutil.rmtree(folder, ignore_errors=True)


def _neutral_folder() -> str | None:
    """Return the folder that our own Ray lets its processes stand in, which goes when that Ray goes."""
    here = _here()
    return here if here is not None and os.path.basename(here).startswith(NEUTRAL_PREFIX) else None


def _here() -> str | None:
    """Return the folder that this process stands in, None if it was removed meanwhile."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _files_below(base: str) -> Iterator[str]:
    """Yield the regular files of a folder, the nearest first."""
    waiting = deque([base])
    while waiting:
        folder = waiting.popleft()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _LEFT_OUT:
                continue
            if entry.is_dir(follow_symlinks=False):
                if not os.path.exists(os.path.join(entry.path, _ENVIRONMENT_MARK)):
                    waiting.append(entry.path)
            elif entry.is_file():
                yield entry.path


_scratches: dict[str, Scratch] = {}


def scratch_for(base: str | Path) -> Scratch:
    """Return this process's scratch folder for the games of that folder."""
    return _scratches.setdefault(os.path.abspath(base), Scratch(os.path.abspath(base)))


def stay_in_scratch(source: GameSource) -> None:
    """Let this process, which does nothing but play that game, stand in its scratch folder for good."""
    scratch = scratch_of(source)
    if scratch is not None:
        scratch.stay()


def scratch_of(source: GameSource) -> Scratch | None:
    """Return where a game may write, None for the framework's own examples, which write nothing."""
    if source.search_path is None and source.module.partition(".")[0] == FRAMEWORK:
        return None
    return scratch_for(source.folder if source.path is not None or source.search_path is None else source.search_path)
