"""The surroundings of a game's code while it runs: no screen, no keyboard, no waiting, a temporary folder."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
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
from typing import Any

import blessed
from blessed.keyboard import Keystroke

from retro_gamer.games.loading.capture import DiscardedOutput, ScriptedInput, capture
from retro_gamer.games.loading.find import FRAMEWORK, GameSource
from retro_gamer.games.loading.importing import is_below
from retro_gamer.games.loading.keys import make_keystroke
from retro_gamer.games.loading.watchdog import heartbeat

_SIGNALS = tuple(signal.Signals[f"SIG{name}"] for name in ("INT", "TERM", "ALRM", "HUP", "XCPU", "USR1", "USR2"))


class NullSandbox:
    """Isolates nothing, for functions of the user's own process. The watchdog and the capture still work.

    Call `enter` before any code of the game runs and `exit` after it.
    """

    def enter(self) -> None:
        """Start the watchdog's clock, and capture any Game that would be played from now on."""
        heartbeat.beats = (heartbeat.beats + 1) | 1
        capture.is_on = True

    def exit(self) -> bool:
        """Undo `enter`. Return whether the game's code was still being left, which ends the game."""
        was_leaving = capture.is_leaving and capture.abandon()
        capture.is_on = False
        heartbeat.beats = (heartbeat.beats + 1) & ~1
        return was_leaving

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Enter the sandbox to build a game."""
        try:
            self.enter()
            yield
        finally:
            self.exit()

    def build(self, call: Callable[[], Any]) -> Any:
        """Run code that builds a game; return the Game that it would play, or its result if it plays none."""
        with self.building():
            return capture.catch(call)


class Sandbox(NullSandbox):
    """Replaces the standard streams and the working directory while code of one game runs, and makes waiting instant.

    `argument` is the game's ``sys.argv[0]``, `answers` are the lines that a player would type before the game starts.
    """

    def __init__(self, argument: str, answers: Sequence[str] = (), folder: TemporaryFolder | None = None) -> None:
        self.output = DiscardedOutput()
        self.input = ScriptedInput(answers, self.output)
        self._argument = argument
        self._folder = folder
        self._streams_before: tuple[Any, Any, Any] = (sys.stdin, sys.stdout, sys.stderr)
        self._recursion_limit = sys.getrecursionlimit()
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        if not hasattr(time.sleep, "__wrapped__"):
            _install_patches()

    def enter(self) -> None:
        """Set up the surroundings, without the cost of `super` because each turn does it."""
        heartbeat.beats = (heartbeat.beats + 1) | 1
        capture.is_on = True
        self._streams_before = (sys.stdin, sys.stdout, sys.stderr)
        sys.stdin = self.input
        sys.stdout = sys.stderr = self.output
        if self._folder is not None:
            self._folder.enter()

    def exit(self) -> bool:
        """Restore the surroundings. Return whether the game's code was still being left, which ends the game."""
        was_leaving = capture.is_leaving and capture.abandon()
        if self._folder is not None:
            self._folder.exit()
        sys.stdin, sys.stdout, sys.stderr = self._streams_before
        if sys.getrecursionlimit() < self._recursion_limit:  # a game may need a higher one
            sys.setrecursionlimit(self._recursion_limit)
        os.umask(self._umask)  # as quick as asking whether it has changed
        capture.is_on = False
        heartbeat.beats = (heartbeat.beats + 1) & ~1
        return was_leaving

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Enter the sandbox as a program that was just started, and end the threads of the game before.

        Afterwards the import path, the signal handlers and ``__main__`` are what they were.
        """
        self.input.restart()
        main, argv, path, streams = sys.modules["__main__"], sys.argv, list(sys.path), (sys.__stdin__, sys.__stdout__)
        is_main_thread = threading.current_thread() is threading.main_thread()  # which alone can set handlers
        handlers = {number: signal.getsignal(number) for number in _SIGNALS if is_main_thread}
        sys.__stdin__, sys.__stdout__ = self.input, self.output  # type: ignore[misc, assignment]
        sys.argv = [self._argument]
        try:
            with super().building():
                yield
        finally:
            sys.modules["__main__"] = main
            sys.__stdin__, sys.__stdout__ = streams  # type: ignore[misc]
            for number, handler in handlers.items():
                if handler is not None and signal.getsignal(number) is not handler:
                    signal.signal(number, handler)
            sys.argv, sys.path[:] = argv, path


def _is_playing() -> bool:
    """Return whether the caller is a game's code in the thread that plays. Other threads are not affected."""
    return capture.is_on and capture.thread in (0, threading.get_ident())


def _run_until_ended(run: Callable[[], None]) -> None:
    with contextlib.suppress(SystemExit):
        run()


def _install_patches() -> None:
    """Patch what waits, asks for a key, or starts programs and threads, once for this process."""
    sleep, inkey, system, popen = time.sleep, blessed.Terminal.inkey, os.system, subprocess.Popen.__init__
    start = threading.Thread.start

    def patched_sleep(seconds: float, /) -> None:
        if not _is_playing():
            sleep(seconds)

    def patched_inkey(terminal: blessed.Terminal, *args: Any, **kwargs: Any) -> Keystroke:
        if not _is_playing() or not isinstance(sys.stdin, ScriptedInput):
            return inkey(terminal, *args, **kwargs)
        answer = sys.stdin.next_answer()
        return Keystroke(answer[0]) if answer else make_keystroke("KEY_ENTER")

    def patched_popen(process: Any, *args: Any, **kwargs: Any) -> None:
        if _is_playing():
            for stream in ("stdin", "stdout", "stderr"):
                kwargs[stream] = kwargs.get(stream) or subprocess.DEVNULL
        popen(process, *args, **kwargs)

    def patched_start(thread: threading.Thread) -> None:
        module = str(getattr(getattr(thread, "_target", None), "__module__", ""))
        if _is_playing() and isinstance(sys.stdin, ScriptedInput) and not module.startswith("retro_gamer."):
            thread.daemon = True  # so that it does not keep the process alive
            sys.stdin.threads.append(thread)
            thread.run = functools.partial(_run_until_ended, thread.run)  # type: ignore[method-assign]
        start(thread)

    _replace(threading.Thread, "start", patched_start)
    _replace(time, "sleep", patched_sleep)
    _replace(blessed.Terminal, "inkey", patched_inkey)

    _replace(os, "system", lambda command: 0 if _is_playing() else system(command))
    _replace(subprocess.Popen, "__init__", patched_popen)
    _keep_streams_open(os.close)


def _keep_streams_open(close: Callable[[int], None]) -> None:
    def patched_close(fd: int) -> None:
        if not (_is_playing() and fd in (0, 1, 2)):  # the next file of ours would take its place
            close(fd)

    _replace(os, "close", patched_close)


def _replace(owner: Any, name: str, substitute: Callable[..., Any]) -> None:
    substitute.__wrapped__ = getattr(owner, name)  # type: ignore[attr-defined]
    setattr(owner, name, substitute)


NEUTRAL_PREFIX = "retro-gamer-neutral-"
"""Begins the name of the working directory of our own Ray's processes."""
_YOUNGEST_REMOVED_SECONDS = 60
"""A younger folder may not be locked by its maker yet."""
_LARGEST_FILE_COUNT = 2000
_LARGEST_BYTE_COUNT = 64 * 1024 * 1024
_NOT_COPIED = ("__pycache__", "node_modules", "site-packages", "checkpoints")


class TemporaryFolder:
    """A temporary copy of the folder `base`, the working directory of its games in this process.

    It is made when first needed. Files are copied level by level, up to 2,000 files and 64 MB, without hidden ones,
    virtual environments and checkpoints. `is_partial` is whether some files were not copied.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self.is_partial = False
        self._path: str | None = None
        self._before: str | None = None
        self._is_permanent = False

    @property
    def path(self) -> str:
        """The temporary folder."""
        if self._path is None or not os.path.isdir(self._path):
            here = _working_directory() or ""
            parent = here if os.path.basename(here).startswith(NEUTRAL_PREFIX) else None  # goes with that Ray
            self._path = make_locked_folder("retro-gamer-game-", parent)
            atexit.register(_remove, self._path, os.getpid())
            self._copy_into(self._path)
        return self._path

    def enter(self) -> None:
        """Make it the working directory."""
        if not self._is_permanent:
            self._before = _working_directory()
            os.chdir(self.path)

    def exit(self) -> None:
        """Return to the working directory before."""
        if self._before is not None:
            os.chdir(self._before)
            self._before = None

    def enter_for_good(self) -> None:
        """Make it the working directory of this process, which does nothing but play."""
        os.chdir(self.path)
        self._is_permanent = True

    def copy_of(self, file: str) -> str:
        """Return the path of the copy of a game's file, or of the file itself if it was not copied."""
        if not is_below(file, self.base):
            return file
        copy = os.path.join(self.path, os.path.relpath(file, self.base))
        return copy if not self.is_partial and os.path.exists(copy) else file

    def _copy_into(self, folder: str) -> None:
        n_bytes = 0
        for n_files, file in enumerate(_files_below(self.base), start=1):
            try:
                n_bytes += os.path.getsize(file)
                if n_files > _LARGEST_FILE_COUNT or n_bytes > _LARGEST_BYTE_COUNT:
                    self.is_partial = True
                    return
                target = os.path.join(folder, os.path.relpath(file, self.base))
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(file, target)
            except OSError:  # unreadable, or removed meanwhile: if the game needs it, its own error says so
                self.is_partial = True


_folders: dict[str, TemporaryFolder] = {}


def temporary_folder_of(source: GameSource) -> TemporaryFolder | None:
    """Return this process's temporary folder of a game, None for the framework's examples, which write nothing."""
    if source.search_path is None and source.module.partition(".")[0] == FRAMEWORK:
        return None
    base = source.search_path if source.path is None and source.search_path is not None else source.folder
    return _folders.setdefault(os.path.abspath(base), TemporaryFolder(os.path.abspath(base)))


def enter_temporary_folder(source: GameSource) -> None:
    """Make a game's temporary folder the working directory of this process, which does nothing but play that game."""
    folder = temporary_folder_of(source)
    if folder is not None:
        folder.enter_for_good()


def make_locked_folder(prefix: str, parent: str | None) -> str:
    """Make a temporary folder that the operating system locks until this process and its forks have ended."""
    remove_abandoned_folders(prefix, parent or tempfile.gettempdir())  # of processes that were killed
    folder = tempfile.mkdtemp(prefix=prefix, dir=parent)
    with contextlib.suppress(OSError):  # a file system without locks: others may take it for abandoned
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)
    return folder


def remove_abandoned_folders(prefix: str, parent: str) -> None:
    """Remove the user's own folders of that prefix that no process has locked."""
    try:
        entries = [entry for entry in os.scandir(parent) if entry.name.startswith(prefix)]
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):  # another process is quicker, or it is locked
            status = entry.stat(follow_symlinks=False)
            is_old = time.time() - status.st_ctime > _YOUNGEST_REMOVED_SECONDS
            if not (entry.is_dir(follow_symlinks=False) and status.st_uid == os.getuid() and is_old):
                continue
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry.path, ignore_errors=True)
            finally:
                os.close(descriptor)


def _remove(folder: str, maker: int) -> None:
    """Remove a folder at the end of the process that made it, not at the end of its forks."""
    if os.getpid() == maker:
        shutil.rmtree(folder, ignore_errors=True)


def _working_directory() -> str | None:
    """Return the working directory, None if it was removed meanwhile."""
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
            if entry.name.startswith(".") or entry.name in _NOT_COPIED:
                continue
            if entry.is_dir(follow_symlinks=False):
                if not os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
                    waiting.append(entry.path)
            elif entry.is_file():
                yield entry.path
