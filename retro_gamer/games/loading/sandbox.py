"""What surrounds a game's code while it runs: no screen, no keyboard, no waiting, a folder of its own."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import blessed
from blessed.keyboard import Keystroke

from retro_gamer.errors import shown
from retro_gamer.games.loading.capture import interception
from retro_gamer.games.loading.keys import make_keystroke
from retro_gamer.games.scratch import Scratch

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
            question = shown(self._screen.last.strip()[-_LONGEST_QUESTION:], 100)
            interception.leave(
                f"it asks again and again, last with {question}, and was given {shown(list(self._answers), 100)} and "
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
