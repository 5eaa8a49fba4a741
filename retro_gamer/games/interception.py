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
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games.code_places import is_library

_OURS = "retro_gamer."
_INSISTING_SECONDS = 0.0005


class LeavingGameError(BaseException):
    """Raised through a game's code to leave it; not an Exception, so that most handlers let it pass."""


class Interception:
    """What is known of the game code that runs now, in the one thread that plays.

    `is_on` while what runs is a game's code. `beats` is odd while a game is built or plays a turn, and grows with
    every turn.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.beats = 0
        self._game: Game | None = None
        self._reason: str | None = None
        self._is_leaving = False
        self._tracing_before: Any = None
        self._insistence: _Insistence | None = None

    def enter(self) -> None:
        """Note that a game's code begins to run."""
        self.beats = (self.beats + 1) | 1

    def exit(self) -> None:
        """Note that it has come back, or been left."""
        self.beats = (self.beats + 1) & ~1

    def install(self) -> None:
        """Let ``Game.play`` ask here first. Outside of game code it does what it always did."""
        play = Game.play
        if hasattr(play, "__wrapped__"):
            return

        @functools.wraps(play)
        def asking(game: Game, *args: Any, **kwargs: Any) -> Any:
            if not self.is_on:
                return play(game, *args, **kwargs)
            self._keep(game)

        Game.play = asking

    def catch(self, call: Callable[[], Any]) -> Any:
        """Return the Game that `call` sets out to play, or what it returns if it plays none.

        A game that is not played but stepped through, by a loop of its own, is caught at its first step.

        Raises:
            GameFailedError: if the code was left for a reason given to `leave`.
            whatever `call` raises before it plays.
        """
        was_on, step = self.is_on, Game.step
        self._game = self._reason = returned = None
        self.is_on, Game.step = True, lambda game, *_, **__: self._keep(game)
        try:
            try:
                returned = call()
            finally:
                self._stop_leaving()
        except KeyboardInterrupt:
            raise
        except BaseException:
            # What comes after the call to play, out of a `finally` say, is of no interest.
            if self._game is None and self._reason is None:
                raise
        finally:
            self.is_on, Game.step = was_on, step
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
        if not self._is_leaving:
            self._is_leaving = True
            self._tracing_before = sys.gettrace()
        elif self._insistence is None:
            self._insistence = _Insistence()
        while frame is not None and _is_ours(frame):
            frame = frame.f_back
        while frame is not None and not _is_ours(frame):
            if not is_library(frame.f_code.co_filename):
                frame.f_trace = _insist
            frame = frame.f_back
        sys.settrace(_insist)
        raise LeavingGameError

    def _stop_leaving(self) -> None:
        if self._insistence is not None:
            self._insistence.stop()
            self._insistence = None
        if self._is_leaving:
            sys.settrace(self._tracing_before)
            self._is_leaving = False
            self._tracing_before = None


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
        self._thread.start()

    def stop(self) -> None:
        """Return once nothing will be raised any more. May itself be left by the last exception raised."""
        self._stopped.set()
        self._thread.join()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(self._target, None)

    def _raise_repeatedly(self) -> None:
        while not self._stopped.wait(_INSISTING_SECONDS):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self._target, ctypes.py_object(LeavingGameError))


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(_OURS)


interception = Interception()
"""The one of this process: there is only one ``Game.play`` to stand in for."""
