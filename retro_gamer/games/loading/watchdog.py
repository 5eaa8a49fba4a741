"""A watch over game code that does not come back: it is interrupted, and where even that fails the process ends."""

from __future__ import annotations

import faulthandler
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import IO, Any

from retro_gamer.games.loading.capture import interception

_NANOSECOND = 1e-9


def starved_seconds(process: int | str = "self") -> float:
    """Return the seconds that the main thread of a process has waited for a processor since it began.

    0 where the system does not tell (it is Linux that does), and once the process is gone.
    """
    try:
        with open(f"/proc/{process}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) * _NANOSECOND
    except (OSError, IndexError, ValueError):
        return 0.0


_LONGEST_PAUSE_SECONDS = 1.0
_PAUSES_IN_A_DEADLINE = 4
_HAS_ALARM = hasattr(signal, "pthread_kill") and hasattr(signal, "SIGALRM")


class HungGameError(BaseException):
    """Raised inside game code that took too long; not an Exception, so that most handlers let it pass."""


class Watchdog:
    """Interrupts game code that takes longer than `seconds` for one turn, or to build a game, while it is entered.

    A thread looks at `interception.beats`. When they stand still while a game plays, a signal to the main thread
    ends what it waits for and raises `HungGameError` there: loops of Python, sleeping and waiting are left. Code of
    other languages that never returns is not. With `last_words`, an open file, the process then ends a while
    later, whoever holds the interpreter, and the file says in which lines its threads were; a crash is told there, too.

    Time in which a busy machine gave the main thread no processor does not count, where the system tells of it.
    Outside the main thread nothing can be raised, and without `last_words` nothing is watched there.
    """

    def __init__(self, seconds: float, last_words: IO[Any] | None = None) -> None:
        self._seconds = seconds
        self._pause_seconds = min(_LONGEST_PAUSE_SECONDS, seconds / _PAUSES_IN_A_DEADLINE)
        self._last_words = last_words
        self._main: int | None = None
        self._hung_at = -1
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._handler_before: Callable[[int, FrameType | None], Any] | int | None = None

    def __enter__(self) -> Watchdog:
        if _HAS_ALARM and threading.current_thread() is threading.main_thread():
            self._main = threading.get_ident()
            self._handler_before = signal.signal(signal.SIGALRM, self._interrupt)
        if self._last_words is not None:
            faulthandler.enable(self._last_words)
        self._put_off_the_end()  # before the thread: it may not get the interpreter any more
        if self._main is not None or self._last_words is not None:
            self._thread = threading.Thread(target=self._watch, daemon=True, name="hang watch")
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        if self._last_words is not None:
            faulthandler.cancel_dump_traceback_later()
        if self._main is not None:
            signal.signal(signal.SIGALRM, self._handler_before)

    def _watch(self) -> None:
        beats, since, starved = -1, time.monotonic(), starved_seconds()
        while not self._stopped.wait(self._pause_seconds):
            now = interception.beats
            if now != beats or now % 2 == 0:
                beats, since, starved = now, time.monotonic(), starved_seconds()
                self._put_off_the_end()
            elif time.monotonic() - since >= self._seconds:
                excused = starved_seconds() - starved
                if time.monotonic() - since - excused < self._seconds:
                    since, starved = since + excused, starved + excused
                    self._put_off_the_end()
                elif self._main is not None:
                    self._hung_at = beats
                    signal.pthread_kill(self._main, signal.SIGALRM)

    def _put_off_the_end(self) -> None:
        # The thread behind this needs no interpreter: it ends the process even if one thread keeps that to itself.
        if self._last_words is not None:
            faulthandler.dump_traceback_later(self._grace_seconds, exit=True, file=self._last_words)

    @property
    def _grace_seconds(self) -> float:
        """Once to be noticed, and half as long again to be left."""
        return 1.5 * self._seconds + 2 * self._pause_seconds

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if interception.beats == self._hung_at:  # it may have come back in the meantime
            raise HungGameError(f"did not come back within {self._seconds:g} seconds (hang_seconds)")
