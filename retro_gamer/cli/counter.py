"""A count that goes up while long work is done: in place on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

LINE_SECONDS = 5.0


class Counter:
    """Shows how much of `total` is done, on standard error, so that the output proper stays alone.

    Work that is over within a few seconds leaves nothing behind.
    """

    def __init__(
        self, what: str, total: int, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._total = total
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._next = clock() + LINE_SECONDS
        in_place = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if in_place else None

    def __enter__(self) -> Counter:
        if self._live is not None:
            self._live.start()
            self.show(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, done: int) -> None:
        """Show that `done` are done."""
        text = Text(f"{self._what}: {done:,} of {self._total:,}")
        if self._live is not None:
            self._live.update(text, refresh=True)
        elif self._clock() >= self._next:
            self._next = self._clock() + LINE_SECONDS
            self._console.print(text, soft_wrap=True)
