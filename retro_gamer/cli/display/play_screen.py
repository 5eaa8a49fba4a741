"""A policy playing before an audience: one turn after another, at the pace of the eye."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from blessed import Terminal
from retro.graph import Graph
from retro.views.terminal import TerminalView

from retro_gamer.errors import GameFailedError, TerminalError, printable
from retro_gamer.games.loading.failures import describe_failure
from retro_gamer.games.session import GameSession
from retro_gamer.policy import TrainedPolicy


class Screen(TerminalView):
    """Draws a game as the framework does, where it differs for these reasons only.

    The frame is centred with its state pane, so that it fits a terminal of just the needed size. A turn is
    written in one piece and without line feeds, which scroll the last row. What is drawn is compared with what the
    screen shows rather than with the turn before, so that changes in place, resizing and new state keys show.
    """

    def __init__(self, terminal: Terminal, game: Any) -> None:
        super().__init__(terminal, color=game.color, show_state=game.show_state)
        self.has_log = bool(game.debug)
        """Whether the game's log is shown beside the board."""
        self._shown: dict[tuple[int, int], str] = {}
        self._state_rows = -1

    def render(self, game: Any) -> None:
        """Show the game as it is now.

        Raises:
            TerminalError: with the size needed, if the terminal is smaller.
            GameFailedError: if something the game shows cannot be drawn.
        """
        self.check_size(game)
        if self.state_height(game) != self._state_rows:
            self._state_rows = self.state_height(game)
            self.initial_render = True
        drawn = io.StringIO()
        try:
            with contextlib.redirect_stdout(drawn), contextlib.redirect_stderr(io.StringIO()):
                super().render(game)
                if self.show_state:
                    self.render_state(game)  # by now the game has forgotten that its state changed
        except Exception as error:
            raise GameFailedError(f"the game cannot be drawn: {describe_failure(error)}") from error
        self._write(drawn.getvalue())

    def show_status(self, game: Any, text: str) -> None:
        """Show one line of ours below the frame, or over its lower edge where there is no row left."""
        _, height = needed_size(self, game)
        _, top = self.get_view_origin_coords(game)
        row = min(top - 1 + height, self.terminal.height - 1)
        clipped = text[: self.terminal.width - 1]
        column = max(0, (self.terminal.width - len(clipped)) // 2)
        self._write(self.terminal.move_xy(column, row) + self.terminal.reverse(clipped))

    def check_size(self, game: Any) -> None:
        """Return if the game fits the terminal.

        Raises:
            TerminalError: with the size needed.
        """
        width, height = needed_size(self, game)
        if self.terminal.width < width or self.terminal.height < height:
            raise TerminalError(
                f"this terminal has {self.terminal.width} columns and {self.terminal.height} rows, and the game needs "
                f"{width} columns and {height} rows. Enlarge the window or choose a smaller font, and play again."
            )

    def get_view_origin_coords(self, game: Any) -> tuple[int, int]:
        """Return the column and row of the board's first cell."""
        width, height = needed_size(self, game)
        return (self.terminal.width - width) // 2 + 1, (self.terminal.height - height) // 2 + 1

    def render_layout(self, game: Any) -> None:
        """Clear the screen and draw the frame."""
        super().render_layout(game)
        self._shown = {}

    def get_layout_graph(self, game: Any) -> Graph:
        """Return the frame. That of a log beside a state pane the framework draws askew, and then refuses to draw."""
        debug, game.debug = game.debug, False
        try:
            graph = super().get_layout_graph(game)
        finally:
            game.debug = debug
        if self.has_log:
            width, height = needed_size(self, game)
            left, top = (place - 1 for place in self.get_view_origin_coords(game))
            middle, right, bottom = left + width - 1 - self.DEBUG_WIDTH, left + width - 1, top + height - 1
            if not self.state_height(game):
                bottom = top + game.view_size[1] + 1
            graph.get_or_create_edge(middle, top, right, top)
            graph.get_or_create_edge(right, top, right, bottom)
            graph.get_or_create_edge(middle, bottom, right, bottom)
        return graph

    def get_board_view_diff(
        self, prior: dict[tuple[int, int], str], board_view: dict[tuple[int, int], str]
    ) -> dict[tuple[int, int], str]:
        """Return what has to be drawn for the screen to show `board_view`."""
        diff: dict[tuple[int, int], str] = super().get_board_view_diff(self._shown, board_view)
        self._shown = board_view
        # Nothing but a colour would leave on the screen what was there before.
        blank = self.get_color(self.color)(" ")
        return {at: shown if self.terminal.strip_seqs(shown) else blank for at, shown in diff.items()}

    def _write(self, text: str) -> None:
        self.terminal.stream.write(text.replace("\n", ""))
        self.terminal.stream.flush()


def needed_size(view: Screen, game: Any) -> tuple[int, int]:
    """Return the columns and rows that the frame around the game takes."""
    width, height = game.view_size
    log_width = view.DEBUG_WIDTH if view.has_log else 0
    return width + view.BORDER_X + log_width, height + view.BORDER_Y + view.state_height(game)


PLAIN_KINDS = ("dumb", "unknown")


class EndingSignals:
    """Turns the signals that end a process into KeyboardInterrupt while the terminal is borrowed.

    `number` is the first that came. Outside `raising` a signal is only noted, so that none interrupts giving the
    terminal back. Ctrl-Z is ignored: the shell would get a terminal without a cursor.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._is_raising = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> EndingSignals:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            self._previous[number] = signal.signal(number, self._handle)
        self._previous[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Let signals interrupt what runs within."""
        self._is_raising = True
        try:
            self.check()
            yield
        finally:
            self._is_raising = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come."""
        if self.number is not None:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if self._is_raising:
            raise KeyboardInterrupt


class PrintingTerminal(Terminal):
    """A terminal whose cursor moves go the way of what is printed, so that the two can be caught together."""

    @contextlib.contextmanager
    def location(self, x: int | None = None, y: int | None = None) -> Iterator[None]:
        """Print what is printed within at (x, y), and go back."""
        print(self.save + self.move_xy(x or 0, y or 0), end="")
        try:
            yield
        finally:
            print(self.restore, end="")


def open_terminal() -> Terminal:
    """Return the terminal of this process.

    Raises:
        TerminalError: if input or output is not one, or it cannot place text.
    """
    for name, stream in (("input", sys.stdin), ("output", sys.stdout)):
        if stream is None or not stream.isatty():
            raise TerminalError(
                f"standard {name} is not a terminal, and a game is shown in one. Run this in a terminal window, "
                "without a pipe."
            )
    kind = os.environ.get("TERM", "")
    if kind in PLAIN_KINDS:
        raise TerminalError(f"this terminal (TERM={kind}) cannot place text. If it can, try: TERM=xterm-256color")
    return _make_terminal()


def _make_terminal() -> Terminal:
    no_color = os.environ.pop("NO_COLOR", "")  # with it, blessed would not even place the cursor
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            terminal = PrintingTerminal()
    finally:
        if no_color:
            os.environ["NO_COLOR"] = no_color
    if no_color:
        terminal.number_of_colors = 0
    return terminal


@contextlib.contextmanager
def borrowed(terminal: Terminal, signals: EndingSignals) -> Iterator[None]:
    """Give the whole terminal to what runs within: another screen, no cursor, keys as they are pressed."""
    with terminal.fullscreen(), terminal.hidden_cursor(), terminal.cbreak(), signals.raising():
        yield


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
