"""A policy playing before an audience: one turn after another, at the pace of the eye."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
from collections.abc import Iterator
from typing import Any

from blessed import Terminal

from retro_gamer.cli.screen import Screen
from retro_gamer.cli.terminal import EndingSignals
from retro_gamer.errors import TerminalError, printable
from retro_gamer.games.session import GameSession
from retro_gamer.policy import TrainedPolicy

QUIT_KEYS = ("KEY_ENTER", "KEY_ESCAPE")
ANOTHER_KEY = "a"
RESIZE_SECONDS = 0.25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
    """How watching a game ended: after how many turns, with what score and state, and whether of itself."""

    turns: int
    score: Any
    state: dict[Any, Any]
    is_over: bool


def count_turns(ending: Ending) -> str:
    """Return the number of turns in words."""
    return f"{ending.turns} turn{'' if ending.turns == 1 else 's'}"


class Show:
    """Plays games in the terminal until the audience has seen enough.

    The pace is kept here: the game's own framerate is not touched, as some games count with it.
    """

    def __init__(
        self,
        terminal: Terminal,
        signals: EndingSignals,
        policy: TrainedPolicy,
        session: GameSession,
        framerate: float,
    ) -> None:
        self._terminal = terminal
        self._signals = signals
        self._policy = policy
        self._session = session
        self._turn_seconds = 1 / framerate

    def play_games(self) -> Iterator[Ending]:
        """Yield the ending of each game watched.

        Raises:
            GameFailedError: if the game's own code fails.
            TerminalError: if the terminal is too small.
        """
        while True:
            with _unprinted():
                self._session.start()
            screen = Screen(self._terminal, self._session.game)
            has_left = self._play_game(screen)
            ending = self._describe_ending()
            yield ending
            if has_left or not self._wants_another(screen, ending):
                return

    def _play_game(self, screen: Screen) -> bool:
        """Play until the game is over or the audience leaves; return whether it left."""
        session = self._session
        screen.check_size(session.game)
        has_left = False
        while not (session.is_over or has_left):
            due = time.perf_counter() + self._turn_seconds
            with _unprinted():
                session.step(self._choose(session.game))
            self._signals.check()  # a game may catch everything, the interruption by a signal too
            if not session.ended_illegally:
                screen.render(session.game)
            has_left = self._is_left_before(due)
        return has_left

    def _describe_ending(self) -> Ending:
        session = self._session
        return Ending(turns=session.turns, score=session.score, state=dict(session.game.state), is_over=session.is_over)

    def _choose(self, game: Any) -> int:
        return int(self._policy.q_values(game).argmax())

    def _is_left_before(self, due: float) -> bool:
        """Wait until `due`, or until the audience leaves."""
        while True:
            key = self._terminal.inkey(timeout=max(0.0, due - time.perf_counter()))
            if key.name in QUIT_KEYS:
                return True
            if not key:
                return False

    def _wants_another(self, screen: Screen, ending: Ending) -> bool:
        """Leave the last board on the screen until a key says what is wanted."""
        game = self._session.game
        score = printable(str(self._session.score))
        text = f" Game over: {score} after {count_turns(ending)}. {ANOTHER_KEY}: another, Enter: quit "
        screen.show_status(game, text)
        while True:
            key = self._terminal.inkey(timeout=RESIZE_SECONDS)
            if key.name in QUIT_KEYS or key == ANOTHER_KEY:
                return bool(key == ANOTHER_KEY)
            if screen.terminal_size_changed():
                with contextlib.suppress(TerminalError):  # too small by now, but the game is over anyway
                    screen.render(game)
                    screen.show_status(game, text)


@contextlib.contextmanager
def _unprinted() -> Iterator[None]:
    """Keep what the game prints off the screen it is drawn on."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
