"""What training shows: a live display on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import errno
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TextIO, cast

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from retro_gamer.cli.display.numbers import clock, number
from retro_gamer.errors import printable
from retro_gamer.games.loading.watchdog import discard_output
from retro_gamer.run.events import EventSink, Progress, Remark, RunEvent, Starting
from retro_gamer.run.log import wrap_lines


class LastingStream:
    """A stream that accepts output whether or not anybody can still read it.

    When the reader is gone (`train | head`, a closed terminal) the output is discarded. While the disk is full, it
    may be lost. Everything else behaves as the stream itself.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write if possible; return the number of characters."""
        with self._lasting():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if possible."""
        with self._lasting():
            self._stream.flush()

    @contextlib.contextmanager
    def _lasting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EIO):  # the reader is gone, or the terminal
                # Python flushes once more when it exits, and must not fail then.
                discard_output(self._stream.fileno())


LINE_SECONDS = 5.0
LAYOUTS = ((30, 26, 16), (30, 30), (30,))
"""Column widths, widest layout first; fixed, so that the columns do not move while the numbers grow."""
COLUMN_GAP = 2
BAR_WIDTH = 40


class Display(EventSink, Protocol):
    """Shows the events of a run until it is closed."""

    def close(self) -> None:
        """Leave the console to other output."""


def make_display(console: Console | None = None) -> Display:
    """Return the display that suits the console; NO_COLOR turns colours off.

    Without a console it is standard output, and training continues when nobody reads that any more.
    """
    if console is None:
        stream = None if sys.stdout is None else cast(TextIO, LastingStream(sys.stdout))
        console = Console(highlight=False, file=stream)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(console)
    return LineDisplay(console)


class LineDisplay:
    """Prints the progress as a plain line every few seconds, and a last time when it is closed."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._next = -math.inf
        self._waiting: Progress | None = None

    def handle(self, event: RunEvent) -> None:
        """Print a description or a remark at once, the progress if it is time to."""
        match event:
            case Starting() | Remark():
                self._print(event.text)
            case Progress():
                self._waiting = event
                if self._clock() >= self._next:
                    self._next = self._clock() + LINE_SECONDS
                    self._print_waiting()

    def close(self) -> None:
        """Print the last progress unless it has been printed."""
        self._print_waiting()

    def _print_waiting(self) -> None:
        if self._waiting is not None:
            self._print(progress_line(self._waiting))
            self._waiting = None

    def _print(self, text: str) -> None:
        # Soft wrapping leaves lines whole: a log file has no width.
        self._console.print(Text(printable(text)), soft_wrap=True)
        self._console.file.flush()


class LiveDisplay:
    """Updates a few lines of progress at the bottom of the terminal; remarks scroll by above them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def handle(self, event: RunEvent) -> None:
        """Print a description or a remark, or update the progress."""
        match event:
            case Starting():
                self._console.print(Text(wrap_lines(printable(event.text), self._console.width)))
                self._show(Text("Starting…"))  # starting the workers takes seconds
            case Remark():
                self._console.print(Text(printable(event.text)))
            case Progress():
                self._show(render_progress(event, self._console.width))

    def close(self) -> None:
        """Leave the last progress on the screen and end the live display."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self, shown: Table | Text) -> None:
        if self._live is None:
            # Nothing is drawn by a thread of its own while the learner is inside another library.
            self._live = Live(shown, console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(shown, refresh=True)


def progress_line(progress: Progress) -> str:
    """Return the progress on one line."""
    parts = [f"episode {progress.episodes:,}/{progress.training_episodes:,}"]
    return ", ".join(parts + [f"{name} {value}" for name, value in _labelled_values(progress)])


def render_progress(progress: Progress, width: int) -> Table:
    """Return the progress as a bar over a small table, for a terminal of `width` columns."""
    bar = Table.grid(padding=(0, 1))
    episode = f"episode {progress.episodes:,}/{progress.training_episodes:,}"
    bar_width = max(1, min(BAR_WIDTH, width - len(episode) - len(" 100% ")))
    bar.add_row(
        episode,
        ProgressBar(total=progress.training_episodes, completed=progress.episodes, width=bar_width),
        f"{100 * progress.episodes / max(1, progress.training_episodes):.0f}%",
    )
    table = Table.grid(padding=(0, COLUMN_GAP))
    columns = _choose_layout(width)
    for column in columns:
        table.add_column(min_width=min(column, width), no_wrap=True)
    cells = [f"[bold]{name}[/bold] {value}" for name, value in _labelled_values(progress)]
    for start in range(0, len(cells), len(columns)):
        table.add_row(*cells[start : start + len(columns)])
    whole = Table.grid()
    whole.add_row(bar)
    whole.add_row(table)
    return whole


def _choose_layout(width: int) -> tuple[int, ...]:
    fitting = [layout for layout in LAYOUTS if sum(layout) + COLUMN_GAP * (len(layout) - 1) <= width]
    return fitting[0] if fitting else LAYOUTS[-1]


def _labelled_values(progress: Progress) -> list[tuple[str, str]]:
    return [
        ("turns", f"{progress.turns:,} ({progress.turns_per_second:,.0f}/s)"),
        ("updates", f"{progress.updates:,} ({progress.updates_per_second:,.0f}/s)"),
        ("time", clock(progress.elapsed_seconds)),
        ("mean reward of last 100", number(progress.mean_reward)),
        ("turns/update", f"{number(progress.turns_per_update)} of {progress.target_turns_per_update}"),
        ("left", clock(progress.seconds_left)),
        ("learning rate", f"{progress.learning_rate:.2g}"),
        ("epsilon", f"{progress.epsilon:.3f}"),
        ("loss", number(progress.loss)),
    ]


@contextlib.contextmanager
def counting(
    what: str, total: int, console: Console | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int], None]]:
    """Yield a function that shows how many of `total` are done, on standard error: standard output is for results.

    Work that takes only a few seconds prints nothing.
    """
    console = console or Console(stderr=True, highlight=False)
    in_place = console.is_terminal and not console.is_dumb_terminal
    live = Live(console=console, auto_refresh=False, transient=True) if in_place else None
    due = clock() + LINE_SECONDS

    def show(done: int) -> None:
        nonlocal due
        text = Text(f"{what}: {done:,} of {total:,}")
        if live is not None:
            live.update(text, refresh=True)
        elif clock() >= due:
            due = clock() + LINE_SECONDS
            console.print(text, soft_wrap=True)

    with live or contextlib.nullcontext():
        if live is not None:
            show(0)
        yield show
