from __future__ import annotations

import io

from rich.console import Console

from retro_gamer.cli.display.progress_display import LINE_SECONDS, counting


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def _console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, highlight=False)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_elsewhere_a_line_comes_every_few_seconds() -> None:
    console, clock = _console(False), Clock()
    with counting("Games played", 2000, console, clock) as show:
        for done in range(0, 2000, 100):
            clock.seconds += LINE_SECONDS / 5
            show(done)
    assert _text(console).splitlines() == [f"Games played: {done:,} of 2,000" for done in (400, 900, 1400, 1900)]


def test_short_work_leaves_nothing_behind() -> None:
    console, clock = _console(False), Clock()
    with counting("Games played", 10, console, clock) as show:
        show(10)
    assert _text(console) == ""


def test_on_a_terminal_the_count_stands_in_place_and_goes() -> None:
    console = _console(True)
    with counting("Games played", 10, console, Clock()) as show:
        show(3)
    assert "Games played: 0 of 10" in _text(console)
    assert "Games played: 3 of 10" in _text(console)
    assert _text(console).endswith("\x1b[2K"), "the line is erased at the end"
