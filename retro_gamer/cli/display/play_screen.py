"""Games of a policy, shown in the terminal: the viewer, the screen it draws on, the terminal and the signals."""

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
from types import FrameType
from typing import Any, Self

from blessed import Terminal
from retro.graph import Graph
from retro.views.terminal import TerminalView

from retro_gamer.cli.display.numbers import count
from retro_gamer.errors import GameFailedError, TerminalError, printable
from retro_gamer.games.loading.failures import describe_failure
from retro_gamer.games.session import GameSession
from retro_gamer.policy import TrainedPolicy
from retro_gamer.training.loop.end_conditions import StopRequest

PLAIN_KINDS = ("dumb", "unknown")
QUIT_KEYS = ("KEY_ENTER", "KEY_ESCAPE")
ANOTHER_KEY = "a"
RESIZE_SECONDS = 0.25


@dataclasses.dataclass(frozen=True, kw_only=True)
class WatchedGame:
    """A game that was watched: its turns, score and final state, and whether it ended by itself."""

    turns: int
    score: Any
    state: dict[Any, Any]
    is_over: bool


class Viewer:
    """Plays games in the terminal until the user quits.

    The viewer keeps the pace itself and leaves the game's framerate alone, because some games use it in their rules.
    """

    def __init__(
        self,
        terminal: Terminal,
        signals: TerminalSignals,
        policy: TrainedPolicy,
        session: GameSession,
        framerate: float,
    ) -> None:
        self._terminal = terminal
        self._signals = signals
        self._policy = policy
        self._session = session
        self._turn_seconds = 1 / framerate

    def play_games(self) -> Iterator[WatchedGame]:
        """Yield each game that was watched.

        Raises:
            GameFailedError: if the game's own code fails.
            TerminalError: if the terminal is too small.
        """
        while True:
            with _discarded_output():
                self._session.start()
            screen = Screen(self._terminal, self._session.game)
            has_quit = self._play_game(screen)
            session = self._session
            watched = WatchedGame(
                turns=session.turns, score=session.score, state=dict(session.game.state), is_over=session.is_over
            )
            yield watched
            if has_quit or not self._wants_another(screen, watched):
                return

    def _play_game(self, screen: Screen) -> bool:
        """Play until the game is over or the user quits; return whether the user quit."""
        session = self._session
        screen.check_size(session.game)
        has_quit = False
        while not (session.is_over or has_quit):
            due = time.perf_counter() + self._turn_seconds
            with _discarded_output():
                session.step(int(self._policy.q_values(session.game).argmax()))
            self._signals.check()  # the game may have caught the KeyboardInterrupt of a signal
            if not session.ended_illegally:
                screen.render(session.game)
            has_quit = self._quits_before(due)
        return has_quit

    def _quits_before(self, due: float) -> bool:
        """Wait until `due`; return early, with True, if the user quits."""
        while True:
            key = self._terminal.inkey(timeout=max(0.0, due - time.perf_counter()))
            if key.name in QUIT_KEYS:
                return True
            if not key:
                return False

    def _wants_another(self, screen: Screen, watched: WatchedGame) -> bool:
        """Show the last board until the user plays again or quits."""
        game = self._session.game
        score, turns = printable(str(watched.score)), count(watched.turns, "turn")
        text = f" Game over: {score} after {turns}. {ANOTHER_KEY}: play again, Enter: quit "
        screen.show_status(game, text)
        while True:
            key = self._terminal.inkey(timeout=RESIZE_SECONDS)
            if key.name in QUIT_KEYS or key == ANOTHER_KEY:
                return bool(key == ANOTHER_KEY)
            if screen.terminal_size_changed():
                with contextlib.suppress(TerminalError):  # too small now, but the game is over anyway
                    screen.render(game)
                    screen.show_status(game, text)


@contextlib.contextmanager
def _discarded_output() -> Iterator[None]:
    """Discard what the game prints, so that it does not disturb the screen."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


class Screen(TerminalView):
    """Draws a game as the framework does, with three differences.

    The frame is centred together with the state pane, so that both fit a terminal of exactly the needed size. Each turn
    is written at once and without line feeds, because these scroll the last row. The new picture is compared with the
    screen instead of the previous turn, so that changes in place, resizing and new state keys are drawn.
    """

    def __init__(self, terminal: Terminal, game: Any) -> None:
        super().__init__(terminal, color=game.color, show_state=game.show_state)
        self.has_log = bool(game.debug)
        """Whether the game's log is drawn beside the board."""
        self._shown: dict[tuple[int, int], str] = {}
        self._state_rows = -1

    def render(self, game: Any) -> None:
        """Draw the current turn.

        Raises:
            TerminalError: if the terminal is too small; names the size needed.
            GameFailedError: if the game cannot be drawn.
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
                    self.render_state(game)  # the game has already reset its flag for changed state
        except Exception as error:
            raise GameFailedError(f"the game cannot be drawn: {describe_failure(error)}") from error
        self._write(drawn.getvalue())

    def show_status(self, game: Any, text: str) -> None:
        """Write a line below the frame, or over its lower edge if no row is left."""
        _, height = needed_size(self, game)
        _, top = self.get_view_origin_coords(game)
        row = min(top - 1 + height, self.terminal.height - 1)
        clipped = text[: self.terminal.width - 1]
        column = max(0, (self.terminal.width - len(clipped)) // 2)
        self._write(self.terminal.move_xy(column, row) + self.terminal.reverse(clipped))

    def check_size(self, game: Any) -> None:
        """Raise TerminalError, with the size needed, unless the game fits the terminal."""
        width, height = needed_size(self, game)
        if self.terminal.width < width or self.terminal.height < height:
            raise TerminalError(
                f"the game needs {width} columns and {height} rows, but the terminal has {self.terminal.width} columns "
                f"and {self.terminal.height} rows. Enlarge the window or choose a smaller font."
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
        """Return the lines of the frame. With a log and a state pane, the framework's own frame is broken."""
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
        """Return the cells that differ between the screen and `board_view`."""
        diff: dict[tuple[int, int], str] = super().get_board_view_diff(self._shown, board_view)
        self._shown = board_view
        # A cell without a visible character would leave the old one on the screen.
        blank = self.get_color(self.color)(" ")
        return {at: shown if self.terminal.strip_seqs(shown) else blank for at, shown in diff.items()}

    def _write(self, text: str) -> None:
        self.terminal.stream.write(text.replace("\n", ""))
        self.terminal.stream.flush()


def needed_size(view: Screen, game: Any) -> tuple[int, int]:
    """Return the columns and rows of the frame around the game."""
    width, height = game.view_size
    log_width = view.DEBUG_WIDTH if view.has_log else 0
    return width + view.BORDER_X + log_width, height + view.BORDER_Y + view.state_height(game)


class PrintingTerminal(Terminal):
    """A terminal that prints its cursor moves to standard output, so that they can be captured with the text."""

    @contextlib.contextmanager
    def location(self, x: int | None = None, y: int | None = None) -> Iterator[None]:
        """Let the block print at (x, y), then move the cursor back."""
        print(self.save + self.move_xy(x or 0, y or 0), end="")
        try:
            yield
        finally:
            print(self.restore, end="")


def open_terminal() -> Terminal:
    """Return the terminal of this process.

    Raises:
        TerminalError: if input or output is not a terminal, or it cannot position text.
    """
    for name, stream in (("input", sys.stdin), ("output", sys.stdout)):
        if stream is None or not stream.isatty():
            raise TerminalError(
                f"standard {name} is not a terminal, and play needs one. Run it in a terminal window, without a pipe."
            )
    kind = os.environ.get("TERM", "")
    if kind in PLAIN_KINDS:
        raise TerminalError(f"a terminal with TERM={kind} cannot position text. If yours can, set TERM=xterm-256color")
    no_color = os.environ.pop("NO_COLOR", "")  # blessed would not even move the cursor
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
def full_screen(terminal: Terminal, signals: TerminalSignals) -> Iterator[None]:
    """Give the terminal to the block: an empty screen without a cursor, keys without Enter, signals that interrupt."""
    with terminal.fullscreen(), terminal.hidden_cursor(), terminal.cbreak(), signals.raising():
        yield


class TerminalSignals(StopRequest):
    """Turns signals that end the process into KeyboardInterrupt, so that the terminal is always restored.

    Outside `raising` signals are only recorded, so that none interrupts the restoring. Ctrl-Z is ignored: it would
    leave the shell a terminal without a cursor.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

    def __init__(self) -> None:
        super().__init__()
        self._is_raising = False

    def __enter__(self) -> Self:
        self._previous[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        return super().__enter__()

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Let signals interrupt the block."""
        self._is_raising = True
        try:
            self.check()
            yield
        finally:
            self._is_raising = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal was received."""
        if self.is_made:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = self.signal_number or number
        if self._is_raising:
            raise KeyboardInterrupt
