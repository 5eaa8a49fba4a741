"""What surrounds a game's code while it runs: no screen, no keyboard, no waiting, a folder of its own."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import blessed
from blessed.keyboard import Keystroke

from retro_gamer.errors import quoted
from retro_gamer.games.loading.capture import interception
from retro_gamer.games.loading.find import FRAMEWORK, GameSource
from retro_gamer.games.loading.importing import is_below
from retro_gamer.games.loading.keys import make_keystroke

_SETTLED_SECONDS = 60
"""A folder younger than this may not be held by its maker yet."""


def make_held(prefix: str, parent: str | None) -> str:
    """Make a temporary folder that counts as in use until this process, and what it forks, has ended.

    Those of the same prefix and user that no process holds any more are removed first. A folder is held by the
    operating system's lock on it, which goes with its owner however that dies, in whatever container it lives.
    """
    remove_unheld(prefix, parent or tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix=prefix, dir=parent)
    with contextlib.suppress(OSError):  # a file system without locks: then it is not known to be held
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)
    return folder


def remove_unheld(prefix: str, parent: str) -> None:
    """Remove the user's own folders of that prefix whose makers are gone."""
    try:
        entries = [entry for entry in os.scandir(parent) if entry.name.startswith(prefix)]
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):  # another process is quicker, or does not let us
            status = entry.stat(follow_symlinks=False)
            settled = time.time() - status.st_ctime > _SETTLED_SECONDS
            if entry.is_dir(follow_symlinks=False) and status.st_uid == os.getuid() and settled:
                _remove_if_unheld(entry.path)


def _remove_if_unheld(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


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


_MOST_EMPTY_ANSWERS = 100
_LONGEST_QUESTION = 80
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


class Nowhere(io.TextIOBase):
    """Takes all that is printed, and keeps the last line as what a game may be asking for."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What a game may ask for."""
        return "utf-8"

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Take the text."""
        if text.strip():
            self.last = text
        return len(text)


class Answers(io.TextIOBase):
    """What stands for the keyboard where a game asks its user something: the listed answers, then empty lines."""

    def __init__(self, answers: Sequence[str], screen: Nowhere) -> None:
        super().__init__()
        self._answers = tuple(answers)
        self._screen = screen
        self.n_asked = 0
        self.threads: list[threading.Thread] = []
        """Those that the game has started: whoever stands at the keyboard ends them."""

    def begin(self) -> None:
        """Give the answers from the first one on: a new game is being built."""
        self.n_asked = 0

    def next_answer(self) -> str:
        """Return the next answer, without the end of its line. A game that goes on asking is left."""
        self.n_asked += 1
        if self.n_asked <= len(self._answers):
            return self._answers[self.n_asked - 1]
        if self.n_asked > len(self._answers) + _MOST_EMPTY_ANSWERS:
            question = quoted(self._screen.last.strip()[-_LONGEST_QUESTION:], 100)
            interception.leave(
                f"it asks again and again, last with {question}, and was given {quoted(list(self._answers), 100)} and "
                'empty lines. List what a player would type in the description, as in answers = ["1", ""]'
            )
        return ""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        """Return an answer as a line."""
        return self.next_answer() + "\n"

    def read(self, size: int | None = -1, /) -> str:
        """Return an answer as a line, or its first characters."""
        line = self.readline()
        return line if size is None or size < 0 else line[:size]


class Stage:
    """The surroundings of one game of one slot, put up around each piece of its code."""

    def __init__(self, argument: str, answers: Sequence[str] = (), scratch: Scratch | None = None) -> None:
        self.screen = Nowhere()
        self.answers = Answers(answers, self.screen)
        self._argument = argument
        self._scratch = scratch
        self._before: tuple[Any, Any, Any] = (sys.stdin, sys.stdout, sys.stderr)
        self._main_before: ModuleType | None = None
        self._building_before: tuple[list[str], list[str]] = ([], [])
        self._terminal_before: tuple[Any, Any] = (None, None)
        self._handlers_before: dict[signal.Signals, Any] = {}
        _install_patches()

    def enter(self) -> None:
        """Put the surroundings up."""
        self._before = (sys.stdin, sys.stdout, sys.stderr)
        sys.stdin = self.answers
        sys.stdout = sys.stderr = self.screen
        if self._scratch is not None:
            self._scratch.enter()

    def exit(self) -> None:
        """Take them down."""
        if self._scratch is not None:
            self._scratch.exit()
        sys.stdin, sys.stdout, sys.stderr = self._before

    def begin_building(self) -> None:
        """Make it look like the start of a program of its own: its name in sys.argv, and no answer given yet."""
        self.answers.begin()
        self._end_threads()
        self._main_before = sys.modules.get("__main__")
        self._building_before = (sys.argv, list(sys.path))
        self._handlers_before = _signal_handlers()
        self._terminal_before = (sys.__stdin__, sys.__stdout__)
        sys.__stdin__, sys.__stdout__ = self.answers, self.screen  # type: ignore[misc, assignment]
        sys.argv = [self._argument]

    def end_building(self) -> None:
        """Undo what `begin_building` did. What the game put on the import path goes, and its signal handlers, too."""
        if self._main_before is not None:
            sys.modules["__main__"] = self._main_before
        sys.__stdin__, sys.__stdout__ = self._terminal_before  # type: ignore[misc]
        for number, handler in self._handlers_before.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        sys.argv, path = self._building_before
        sys.path[:] = path

    def _end_threads(self) -> None:
        """Let the threads that the game before has started end at their next step."""
        for thread in self.answers.threads:
            if thread.is_alive() and thread.ident is not None:
                end = ctypes.py_object(SystemExit)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), end)
        self.answers.threads.clear()


def _is_playing() -> bool:
    """Return whether the caller is a game's code in the thread that plays: threads of others go on as ever."""
    return interception.is_on and interception.thread in (0, threading.get_ident())


def _signal_handlers() -> dict[signal.Signals, Any]:
    """Return who handles the signals that end a program, where that can be put back: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: handler for number in _SIGNALS if (handler := signal.getsignal(number)) is not None}


def _is_ours(thread: threading.Thread) -> bool:
    return str(getattr(getattr(thread, "_target", None), "__module__", "")).startswith("retro_gamer.")


def _ending_quietly(run: Callable[[], None]) -> Callable[[], None]:
    def run_until_ended() -> None:
        with contextlib.suppress(SystemExit):
            run()

    return run_until_ended


def _install_patches() -> None:
    if hasattr(time.sleep, "__wrapped__"):
        return
    sleep, inkey, system, popen = time.sleep, blessed.Terminal.inkey, os.system, subprocess.Popen.__init__
    start = threading.Thread.start

    def asking_sleep(seconds: float, /) -> None:
        if not _is_playing():
            sleep(seconds)

    def asking_inkey(terminal: blessed.Terminal, *args: Any, **kwargs: Any) -> Keystroke:
        if not _is_playing() or not isinstance(sys.stdin, Answers):
            return inkey(terminal, *args, **kwargs)
        answer = sys.stdin.next_answer()
        return Keystroke(answer[0]) if answer else make_keystroke("KEY_ENTER")

    def asking_system(command: Any) -> int:
        return 0 if _is_playing() else system(command)

    def asking_popen(process: Any, *args: Any, **kwargs: Any) -> None:
        if _is_playing():
            for stream in ("stdin", "stdout", "stderr"):
                kwargs[stream] = kwargs.get(stream) or subprocess.DEVNULL
        popen(process, *args, **kwargs)

    def asking_start(thread: threading.Thread) -> None:
        if _is_playing() and isinstance(sys.stdin, Answers) and not _is_ours(thread):
            thread.daemon = True  # or it would keep the process
            sys.stdin.threads.append(thread)
            thread.run = _ending_quietly(thread.run)  # type: ignore[method-assign]
        start(thread)

    _replace(threading.Thread, "start", asking_start)
    _replace(time, "sleep", asking_sleep)
    _replace(blessed.Terminal, "inkey", asking_inkey)
    _replace(os, "system", asking_system)
    _replace(subprocess.Popen, "__init__", asking_popen)


def _replace(owner: Any, name: str, substitute: Callable[..., Any]) -> None:
    substitute.__wrapped__ = getattr(owner, name)  # type: ignore[attr-defined]
    setattr(owner, name, substitute)
