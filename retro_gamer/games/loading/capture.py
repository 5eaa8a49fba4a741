"""Taking hold of the Game that a game's own code sets out to play, whatever that code does around it.

A game that was written for people ends in ``game.play()``. While game code runs under our eyes, `play` keeps the Game
and leaves: an exception goes through the game's code. Where that is swallowed (by an ``except:``), tracing raises it
again in the next line, and where even that is not enough (loops within loops that catch everything), a thread raises
it again and again until the game's code is left. Nothing behind the call to `play` comes to anything.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
import types
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games.loading.importing import is_library

_OURS = "retro_gamer."
_CALLERS = ("retro_gamer.games.loading.capture", "retro_gamer.games.session")
_INSISTING_SECONDS = 0.0005


class LeavingGameError(BaseException):
    """Raised through a game's code to leave it; not an Exception, so that most handlers let it pass."""


class Capture:
    """What is known of the game code that runs now, in the one thread that plays.

    `is_on` while what runs is a game's code, `is_building` while that code is to come up with a Game, `is_leaving`
    while it is being left. `beats` is odd while a game is built or plays a turn, and grows with every turn.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.is_building = False
        self.is_leaving = False
        self.beats = 0
        self.thread = 0
        self._play = Game.play
        self._step = Game.step
        self._asking_step: Any = None
        self._game: Game | None = None
        self._reason: str | None = None
        self._tracing_before: Any = None
        self._insistence: _Insistence | None = None

    def enter(self) -> None:
        """Note that a game's code begins to run in this thread."""
        self.beats = (self.beats + 1) | 1
        self.is_on = True

    def exit(self) -> None:
        """Note that it has come back, or been left."""
        self.is_on = False
        self.beats = (self.beats + 1) & ~1

    def install(self) -> None:
        """Let ``Game.play`` and ``Game.step`` ask here first, for good. Outside of game code they do as ever.

        Doing so anew for each game would cost Python's caches of the class's attributes each time.
        """
        if self._asking_step is not None:
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
        self._asking_step = step

    def step_of(self, game: Game) -> Callable[[], Any]:
        """Return the `step` of a game as it was before `install`, unless the game has one of its own."""
        step: Callable[[], Any] = game.step
        if getattr(step, "__func__", None) is self._asking_step:
            return types.MethodType(self._step, game)
        return step

    def catch(self, call: Callable[[], Any]) -> Any:
        """Return the Game that `call` sets out to play, or what it returns if it plays none.

        A game that is not played but stepped through, by a loop of its own, is caught at its first step.

        Raises:
            GameFailedError: if the code was left for a reason given to `leave`.
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
            # What comes after the call to play, out of a `finally` say, is of no interest.
            if self._game is None and self._reason is None:
                raise
        finally:
            self.is_on, self.is_building = before
        game = self.take_game()
        return returned if game is None else game

    def take_game(self) -> Game | None:
        """Stop leaving and return the Game that was to be played, if any: wherever `LeavingGameError` may arrive.

        Raises:
            GameFailedError: if the code was left for a reason given to `leave`.
        """
        self._stop_leaving()
        game, reason = self._game, self._reason
        self._game = self._reason = None
        if game is None and reason is not None:
            raise GameFailedError(reason)
        return game

    def leave(self, reason: str, frame: FrameType | None = None) -> NoReturn:
        """Leave the game's code from `frame` on (the caller's), and go on leaving if that is swallowed."""
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
        elif self._insistence is None:
            self._insistence = _Insistence()
            self._insistence.start()  # from here on, this line too may be left
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
            # First of all: in Python 3.11 an exception from another thread and tracing can block each other.
            sys.settrace(self._tracing_before)
        while self._insistence is not None:
            try:
                self._insistence.stop()
                self._insistence = None
            except LeavingGameError:  # raised while it was being stopped
                continue
        self.is_leaving = False
        self._tracing_before = None


def _call_apart(call: Callable[[], Any]) -> Any:
    """Return what `call` returns; the exception that it is handling when it is left does not stay the thread's.

    Leaving a ``with`` in the middle of its own tidying up can skip what takes its exception off the thread: every
    later exception would have it as context, and the thousands before it. A generator has a place of its own for that.
    """

    def run() -> Iterator[tuple[Any, StopIteration | None]]:
        try:
            yield call(), None
        except StopIteration as error:  # no generator can raise that
            yield None, error

    returned, error = next(run())
    if error is not None:
        raise error
    return returned


def _insist(frame: FrameType, event: str, arg: object) -> Any:
    """Raise once more; Python then ends the tracing by itself. Libraries are left to tidy up after themselves."""
    if is_library(frame.f_code.co_filename):
        return None
    if event in ("line", "call"):
        raise LeavingGameError
    return _insist


class _Insistence:
    """A thread that raises `LeavingGameError` in the thread that made it, over and over."""

    def __init__(self) -> None:
        self._target = ctypes.c_ulong(threading.get_ident())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._raise_repeatedly, daemon=True)

    def start(self) -> None:
        """Begin to raise."""
        self._thread.start()

    def stop(self) -> None:
        """Return once nothing will be raised any more. May itself be left by an exception raised meanwhile.

        The last exception is waited for: Python 3.11 does not quite forget one that is taken back.
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
    """Return whether a frame is the one that called the game's code (our importing has frames within it)."""
    return frame.f_globals.get("__name__") in _CALLERS


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(_OURS)


interception = Capture()
"""The one of this process: there is only one ``Game.play`` to stand in for."""
interception.install()
