"""Borrowing the terminal for a full-screen show, and giving it back whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from blessed import Terminal

from retro_gamer.errors import TerminalError

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
