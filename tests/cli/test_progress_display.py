from __future__ import annotations

import dataclasses
import io
import math

import pytest
from rich.console import Console

from retro_gamer.cli.display.progress_display import (
    LineDisplay,
    LiveDisplay,
    make_display,
    progress_line,
    render_progress,
)
from retro_gamer.run.events import Progress, Remark, Starting

PROGRESS = Progress(
    episodes=120,
    training_episodes=1000,
    turns=34_567,
    updates=8_600,
    turns_per_second=1234.4,
    updates_per_second=310.2,
    mean_reward=12.25,
    epsilon=0.55,
    learning_rate=0.001,
    loss=0.0123,
    turns_per_update=4.01,
    target_turns_per_update=4,
    elapsed_seconds=65,
    seconds_left=3725,
    n_actors=2,
)
NEW = dataclasses.replace(
    PROGRESS, episodes=0, mean_reward=math.nan, loss=math.nan, turns_per_update=math.nan, seconds_left=math.nan
)


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def _console(terminal: bool, **given: object) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, highlight=False, **given)  # type: ignore[arg-type]


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_line_holds_every_number() -> None:
    line = progress_line(PROGRESS)

    assert "\n" not in line
    for number in (
        "episode 120/1,000",
        "turns 34,567 (1,234/s)",
        "updates 8,600 (310/s)",
        "mean reward of last 100 12.25",
        "epsilon 0.550",
        "loss 0.0123",
        "time 1:05",
        "left 1:02:05",
    ):
        assert number in line


def test_what_is_not_known_yet_is_a_dash() -> None:
    line = progress_line(NEW)
    assert "loss -" in line
    assert "left -" in line
    assert "nan" not in line


def test_lines_come_every_few_seconds_and_the_last_one_always() -> None:
    console, time = _console(terminal=False), Clock()
    display = LineDisplay(console, clock=time)
    display.handle(Starting("Architecture\n  a CNN"))
    for turns in range(100):
        time.seconds += 0.25
        display.handle(dataclasses.replace(PROGRESS, turns=turns))
    display.handle(Remark("a remark with [markup] and \x1b[31m"))
    display.close()
    display.close()

    lines = _text(console).splitlines()
    assert lines[:2] == ["Architecture", "  a CNN"]
    turns_shown = [int(line.split("turns ")[1].split()[0]) for line in lines if line.startswith("episode")]
    assert turns_shown == [0, 20, 40, 60, 80, 99]
    assert lines[-2] == "a remark with [markup] and \\x1b[31m"


def test_a_terminal_shows_the_progress_in_place_below_the_remarks() -> None:
    console = _console(terminal=True)
    display = LiveDisplay(console)
    display.handle(Starting("Architecture"))
    for episode in range(5):
        display.handle(dataclasses.replace(PROGRESS, episodes=episode))
    display.handle(Remark("a remark with [markup]"))
    display.handle(dataclasses.replace(PROGRESS, episodes=7))
    display.close()

    assert _text(console).count("\x1b[2K") > 0
    assert "episode 7/1,000" in _text(console)
    assert "a remark with [markup]" in _text(console)
    assert "34,567 (1,234/s)" in _text(console)
    assert _text(console).endswith("\x1b[?25h")


def _drawn(progress: Progress, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(render_progress(progress, width))
    return [line.rstrip() for line in _text(console).splitlines()]


@pytest.mark.parametrize(("width", "rows"), [(120, 4), (80, 4), (76, 4), (75, 6), (62, 6), (61, 10), (30, 10)])
def test_the_progress_fits_the_terminal(width: int, rows: int) -> None:
    lines = _drawn(PROGRESS, width)

    assert len(lines) == rows
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("episode 120/1,000")
    assert lines[0].endswith("12%")
    drawn = "\n".join(lines)
    assert all(
        number in drawn for number in ("mean reward of last 100 12.25", "turns/update 4.01 of 4", "left 1:02:05")
    )


def test_the_columns_stay_in_place_while_the_numbers_grow() -> None:
    places = {
        tuple(_drawn(progress, 80)[row].index(name) for row, name in ((1, "updates"), (2, "left"), (3, "epsilon")))
        for progress in (PROGRESS, NEW, dataclasses.replace(PROGRESS, turns=9_999_999, mean_reward=-999))
    }
    assert len(places) == 1


def test_the_description_is_wrapped_to_the_terminal_and_waiting_is_said() -> None:
    console = _console(terminal=True)
    display = LiveDisplay(console)
    display.handle(Starting("Architecture\n  " + "a word " * 20))
    display.close()
    assert _text(console).startswith("Architecture\n  a word a word")
    assert "\n    word a word" in _text(console)
    assert "Starting…" in _text(console)


def test_the_console_decides_how_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_display(_console(terminal=True)), LiveDisplay)
    assert isinstance(make_display(_console(terminal=False)), LineDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_display(_console(terminal=True)), LineDisplay)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = _console(terminal=True)
    display = LiveDisplay(console)
    display.handle(PROGRESS)
    display.close()
    assert "\x1b[3" not in _text(console)
