"""Interrupts game code that does not return, and ends the process where even that fails."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import IO, Any

_NANOSECOND = 1e-9


def starved_seconds(process: int | str = "self") -> float:
    """Return the seconds that the main thread of a process has waited for a CPU since it started.

    0 on systems other than Linux, and once the process has ended.
    """
    try:
        with open(f"/proc/{process}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) * _NANOSECOND
    except (OSError, IndexError, ValueError):
        return 0.0


_LONGEST_PAUSE_SECONDS = 1.0
_PAUSES_IN_A_DEADLINE = 4
_HAS_ALARM = hasattr(signal, "pthread_kill") and hasattr(signal, "SIGALRM")


class Heartbeat:
    """`beats` is odd while code of a game runs, and grows each time that starts or ends. The sandboxes count it."""

    beats = 0


heartbeat = Heartbeat()
"""The one of this process, which plays one game at a time."""


class HungGameError(BaseException):
    """Raised inside game code that took too long; not an Exception, so that most handlers let it pass."""


class Watchdog:
    """Interrupts game code that takes longer than `seconds` for one turn, or to build a game.

    A thread reads `heartbeat.beats`. If they do not change while a game plays, it sends a signal to the main thread,
    which raises `HungGameError` there. That ends loops in Python, sleeping and waiting, but not code of other languages
    that never returns. With `crash_report`, an open file, the process ends a little later even then, and the file names
    the lines in which its threads were. A crash of the interpreter is reported there, too.

    Time in which a busy machine gave the main thread no CPU does not count (on Linux). Outside the main thread nothing
    can be raised, and without `crash_report` nothing is watched.
    """

    def __init__(self, seconds: float, crash_report: IO[Any] | None = None) -> None:
        self._seconds = seconds
        self._pause_seconds = min(_LONGEST_PAUSE_SECONDS, seconds / _PAUSES_IN_A_DEADLINE)
        self._crash_report = crash_report
        self._main: int | None = None
        self._hung_at = -1
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._handler_before: Callable[[int, FrameType | None], Any] | int | None = None

    def __enter__(self) -> Watchdog:
        if _HAS_ALARM and threading.current_thread() is threading.main_thread():
            self._main = threading.get_ident()
            self._handler_before = signal.signal(signal.SIGALRM, self._interrupt)
        if self._crash_report is not None:
            faulthandler.enable(self._crash_report)
        self._postpone_exit()  # before the thread: it may never get the interpreter
        if self._main is not None or self._crash_report is not None:
            self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        if self._crash_report is not None:
            faulthandler.cancel_dump_traceback_later()
        if self._main is not None:
            signal.signal(signal.SIGALRM, self._handler_before)

    def _watch(self) -> None:
        beats, since, starved = -1, time.monotonic(), starved_seconds()
        while not self._stopped.wait(self._pause_seconds):
            now = heartbeat.beats
            if now != beats or now % 2 == 0:
                beats, since, starved = now, time.monotonic(), starved_seconds()
                self._postpone_exit()
            elif time.monotonic() - since >= self._seconds:
                excused = starved_seconds() - starved
                if time.monotonic() - since - excused < self._seconds:
                    since, starved = since + excused, starved + excused
                    self._postpone_exit()
                elif self._main is not None:
                    self._hung_at = beats
                    signal.pthread_kill(self._main, signal.SIGALRM)

    def _postpone_exit(self) -> None:
        # The timer needs no interpreter lock: it ends the process even if a thread never releases that.
        if self._crash_report is not None:
            faulthandler.dump_traceback_later(self._grace_seconds, exit=True, file=self._crash_report)

    @property
    def _grace_seconds(self) -> float:
        """The time after which the process ends: the limit once to notice, half of it again to leave the code."""
        return 1.5 * self._seconds + 2 * self._pause_seconds

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if heartbeat.beats == self._hung_at:  # it may have returned meanwhile
            raise HungGameError(f"did not return within {self._seconds:g} seconds (hang_seconds)")


def discard_output(*descriptors: int) -> None:
    """Redirect file descriptors of this process and its children to /dev/null: 1 and 2 for what a game prints."""
    devnull = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(devnull, descriptor)
    os.close(devnull)
