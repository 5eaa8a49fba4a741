"""Capture the Game that a game's own code would play, and the screen and the keyboard that the code has meanwhile.

A game written for people ends in ``game.play()``. While a game's code runs in a sandbox, `play` keeps the Game and
leaves that code by raising an exception through it. Where the code swallows the exception (by an ``except:``), tracing
raises it again in the next line. Where even that is not enough (nested loops that catch everything), a thread raises it
again and again. Nothing after the call to `play` has any effect.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

from retro.game import Game

from retro_gamer.errors import GameFailedError, quoted
from retro_gamer.games.loading.importing import is_library

_OURS = "retro_gamer."
_CALLERS = ("retro_gamer.games.loading.capture", "retro_gamer.games.session")
_INSISTING_SECONDS = 0.0005


class LeavingGameError(BaseException):
    """Raised through a game's code to leave it; not an Exception, so that most handlers let it pass."""


class Capture:
    """The state of the game code that runs now, in the one thread that plays.

    is_on: whether a game's code is running (a sandbox sets it)
    is_building: whether that code is to build a Game
    is_leaving: whether it is being left
    thread: the one that built the last game, 0 before
    """

    def __init__(self) -> None:
        self.is_on = False
        self.is_building = False
        self.is_leaving = False
        self.thread = 0
        self._play = Game.play
        self._step = Game.step
        self._patched_step: Any = None
        self._game: Game | None = None
        self._reason: str | None = None
        self._tracing_before: Any = None
        self._insister: _Insister | None = None

    def install(self) -> None:
        """Patch ``Game.play`` and ``Game.step``, once for this process. Outside of game code they work as before.

        Patching for each game would empty Python's caches of the class's attributes each time.
        """
        if self._patched_step is not None:
            return

        @functools.wraps(self._play)
        def play(game: Game, *args: Any, **kwargs: Any) -> Any:
            if self.is_on:
                self._keep(game)
            return self._play(game, *args, **kwargs)

        @functools.wraps(self._step)
        def step(game: Game, *args: Any, **kwargs: Any) -> Any:
            if self.is_building:
                self._keep(game)
            return self._step(game, *args, **kwargs)

        Game.play, Game.step = play, step
        self._patched_step = step

    def step_of(self, game: Game) -> Callable[[], Any]:
        """Return the `step` of a game as it was before `install`, unless the game has one of its own."""
        step: Callable[[], Any] = game.step
        if getattr(step, "__func__", None) is self._patched_step:
            return types.MethodType(self._step, game)
        return step

    def catch(self, call: Callable[[], Any]) -> Any:
        """Return the Game that `call` would play, or what it returns if it plays none.

        A game that steps through itself, in a loop of its own, is caught at its first step.

        Raises:
            GameFailedError: with the reason given to `leave`, if the code was left.
            whatever `call` raises before it plays.
        """
        before = (self.is_on, self.is_building)
        self._game = self._reason = returned = None
        self.is_on = self.is_building = True
        self.thread = threading.get_ident()
        try:
            try:
                returned = _call_apart(call)
            finally:
                self._stop_leaving()
        except KeyboardInterrupt:
            raise
        except BaseException:
            # Errors after the call to play, such as those of a `finally`, do not matter.
            if self._game is None and self._reason is None:
                raise
        finally:
            self.is_on, self.is_building = before
        game = self.take_game()
        return returned if game is None else game

    def take_game(self) -> Game | None:
        """Stop leaving and return the Game that would be played, if any. Call wherever `LeavingGameError` may arrive.

        Raises:
            GameFailedError: with the reason given to `leave`, if the code was left.
        """
        self._stop_leaving()
        game, reason = self._game, self._reason
        self._game = self._reason = None
        if game is None and reason is not None:
            raise GameFailedError(reason)
        return game

    def abandon(self) -> bool:
        """Stop leaving the game's code, for whatever reason it was left; return whether it was being left."""
        if not self.is_leaving:
            return False
        with contextlib.suppress(GameFailedError):
            self.take_game()
        return True

    def leave(self, reason: str, frame: FrameType | None = None) -> NoReturn:
        """Leave the game's code from `frame` on (default: the caller's), even if it swallows the exception."""
        self._reason = self._reason or reason
        self._leave_from(frame or sys._getframe(1))

    def _keep(self, game: Game) -> NoReturn:
        if self._game is None:
            self._game = game
        self._leave_from(sys._getframe(1))

    def _leave_from(self, frame: FrameType | None) -> NoReturn:
        if not self.is_leaving:
            self.is_leaving = True
            self._tracing_before = sys.gettrace()
        elif self._insister is None:
            self._insister = _Insister()
            self._insister.start()  # from here on, even this method may be left
        while frame is not None and _is_ours(frame):
            frame = frame.f_back
        while frame is not None and not _is_outermost(frame):
            if not is_library(frame.f_code.co_filename):
                frame.f_trace = _insist
            frame = frame.f_back
        sys.settrace(_insist)
        raise LeavingGameError

    def _stop_leaving(self) -> None:
        if self.is_leaving:
            # First: in Python 3.11 an exception from another thread and tracing can block each other.
            sys.settrace(self._tracing_before)
        while self._insister is not None:
            try:
                self._insister.stop()
                self._insister = None
            except LeavingGameError:  # raised while it was being stopped
                continue
        self.is_leaving = False
        self._tracing_before = None


def _call_apart(call: Callable[[], Any]) -> Any:
    """Return what `call` returns, and keep the exception that it handles when it is left out of this thread's state.

    Leaving a ``with`` during its own clean-up can skip the code that takes its exception off the thread: every later
    exception would have it as its context, with the thousands before it. A generator has an exception state of its own.
    """

    def run() -> Iterator[tuple[Any, StopIteration | None]]:
        try:
            yield call(), None
        except StopIteration as error:  # a generator cannot raise that
            yield None, error

    returned, error = next(run())
    if error is not None:
        raise error
    return returned


def _insist(frame: FrameType, event: str, arg: object) -> Any:
    """Raise once more, after which Python ends the tracing. Libraries may clean up first."""
    if is_library(frame.f_code.co_filename):
        return None
    if event in ("line", "call"):
        raise LeavingGameError
    return _insist


class _Insister:
    """A thread that raises `LeavingGameError` in the thread that made it, again and again."""

    def __init__(self) -> None:
        self._target = ctypes.c_ulong(threading.get_ident())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._raise_repeatedly, daemon=True)

    def start(self) -> None:
        """Start to raise."""
        self._thread.start()

    def stop(self) -> None:
        """Return once nothing will be raised any more. An exception raised meanwhile may leave this method.

        It waits for a last exception, because Python 3.11 does not quite forget one that is taken back.
        """
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()
        try:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self._target, ctypes.py_object(LeavingGameError))
            while True:
                pass
        except LeavingGameError:
            return

    def _raise_repeatedly(self) -> None:
        while not self._stopped.wait(_INSISTING_SECONDS):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self._target, ctypes.py_object(LeavingGameError))


def _is_outermost(frame: FrameType) -> bool:
    """Return whether a frame is the one that called the game's code (our importer has frames within it)."""
    return frame.f_globals.get("__name__") in _CALLERS


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(_OURS)


capture = Capture()
"""The one of this process, which has only one ``Game.play`` to patch."""
capture.install()


_LARGEST_EMPTY_ANSWER_COUNT = 100
_LONGEST_QUESTION = 80


class DiscardedOutput(io.TextIOBase):
    """The game's screen: discards all output. `last` is the last text, which may be a question to the player."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Discard the text."""
        if text.strip():
            self.last = text
        return len(text)


class ScriptedInput(io.TextIOBase):
    """The game's keyboard: gives the listed answers, then empty lines. `threads` are those that the game started."""

    def __init__(self, answers: Sequence[str], output: DiscardedOutput) -> None:
        super().__init__()
        self._answers = tuple(answers)
        self._output = output
        self.n_asked = 0
        self.threads: list[threading.Thread] = []

    def restart(self) -> None:
        """Give the answers from the first one on, for a new game, and make the old one's threads end soon."""
        self.n_asked = 0
        for thread in self.threads:
            if thread.is_alive() and thread.ident is not None:
                end = ctypes.py_object(SystemExit)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), end)
        self.threads.clear()

    def next_answer(self) -> str:
        """Return the next answer without a line end. The code of a game that asks without end is left."""
        self.n_asked += 1
        if self.n_asked <= len(self._answers):
            return self._answers[self.n_asked - 1]
        if self.n_asked > len(self._answers) + _LARGEST_EMPTY_ANSWER_COUNT:
            question = quoted(self._output.last.strip()[-_LONGEST_QUESTION:], 100)
            capture.leave(
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
