from __future__ import annotations

import builtins
import io
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games.loading import watchdog
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.loading.watchdog import HungGameError, Watchdog, heartbeat, starved_seconds
from retro_gamer.games.session import GameSession
from tests.games_room.test_session import METADATA, NOTHING, scripted

DEADLINE_SECONDS = 0.2


def loop(game: Game) -> None:
    while True:
        pass


def sleep(game: Game) -> None:
    select.select([], [], [], 10_000)


def wait(game: Game) -> None:
    threading.Event().wait()


def swallow(game: Game) -> None:
    while not hasattr(game, "swallowed"):
        try:
            select.select([], [], [], 10_000)
        except BaseException:
            game.swallowed = True
    sleep(game)


@pytest.mark.parametrize("hang", [loop, sleep, wait, swallow])
def test_a_turn_that_does_not_end_is_a_failure_of_the_game_with_its_line(hang: Callable[[Game], None]) -> None:
    session = scripted(lambda game: None, hang)
    with Watchdog(DEADLINE_SECONDS):
        session.step(NOTHING)
        with pytest.raises(GameFailedError, match=r"test_watchdog\.py:\d+: HungGameError: did not return"):
            session.step(NOTHING)
        assert session.is_over
        session.start()
        session.step(NOTHING)


def test_a_game_that_is_never_built_is_a_failure() -> None:
    def create_game() -> Game:
        while True:
            pass

    session = GameSession(create_game, METADATA)
    with Watchdog(DEADLINE_SECONDS), pytest.raises(GameFailedError, match="while it was being built"):
        session.start()


def test_a_game_that_is_never_imported_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("import select\nselect.select([], [], [], 10_000)\n")
    source = find_source(str(tmp_path / "endless.py"))
    with Watchdog(DEADLINE_SECONDS), pytest.raises(GameFailedError, match=r"endless\.py:2: HungGameError"):
        load_factory(source)


def test_time_without_a_cpu_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([0.0, 0.0, *range(1, 50)])  # each time it is asked, a second more was spent waiting
    excused: list[float] = []

    def starve() -> float:
        excused.append(next(told, 0.0) if len(excused) < 6 else 4.0)
        return excused[-1]

    monkeypatch.setattr(watchdog, "starved_seconds", starve)
    session = scripted(sleep)
    with Watchdog(DEADLINE_SECONDS), pytest.raises(GameFailedError, match="HungGameError"):
        session.step(NOTHING)
    assert len(excused) > 6  # it was excused as long as that grew, and then no more


def test_a_slow_game_and_other_code_are_not_interrupted() -> None:
    def slow(game: Game) -> None:
        threading.Event().wait(DEADLINE_SECONDS / 2)

    session = scripted(*[slow] * 6)
    with Watchdog(DEADLINE_SECONDS):
        for _ in range(6):  # longer in all than the deadline of one turn
            session.step(NOTHING)
        threading.Event().wait(3 * DEADLINE_SECONDS)
    assert heartbeat.beats % 2 == 0


def test_the_signal_handler_is_restored() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with Watchdog(DEADLINE_SECONDS):
        assert signal.getsignal(signal.SIGALRM) != before
    assert signal.getsignal(signal.SIGALRM) == before
    assert not [thread for thread in threading.enumerate() if thread.name == "watchdog"]


def test_an_alarm_that_comes_late_is_ignored() -> None:
    watchdog = Watchdog(DEADLINE_SECONDS)
    watchdog._hung_at = heartbeat.beats - 2
    watchdog._interrupt(signal.SIGALRM, None)
    watchdog._hung_at = heartbeat.beats
    with pytest.raises(HungGameError):
        watchdog._interrupt(signal.SIGALRM, None)


STUBBORN = """
import ctypes, sys
from retro_gamer.games.loading.watchdog import Watchdog
from retro_gamer.games.loading.sandbox import NullSandbox

def hang():
    NullSandbox().enter()
    {hang}

with open(sys.argv[1], "x") as words, Watchdog(0.2, words):
    hang()
"""


@pytest.mark.parametrize(
    ("hang", "said"),
    [
        ("ctypes.PyDLL(None).sleep(1000)", "Timeout"),
        ("ctypes.string_at(0)", "Segmentation fault"),
    ],
)
def test_a_process_that_cannot_be_interrupted_ends_and_reports_its_line(tmp_path: Path, hang: str, said: str) -> None:
    script, words = tmp_path / "stubborn.py", tmp_path / "words.txt"
    script.write_text(STUBBORN.format(hang=hang))
    done = subprocess.run([sys.executable, str(script), str(words)], timeout=60, check=False)
    assert done.returncode != 0
    text = words.read_text()
    assert said in text
    assert f'File "{script}", line 8 in hang' in text


@pytest.mark.parametrize(
    ("text", "seconds"), [("830892077 1260780457 414\n", 1.260780457), ("", 0.0), ("12\n", 0.0), ("a b c\n", 0.0)]
)
def test_the_second_number_is_what_was_waited_in_nanoseconds(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def open_instead(path: str, **kwargs: Any) -> io.StringIO:
        opened.append(path)
        return io.StringIO(text)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", open_instead)
        found = (starved_seconds(), starved_seconds(17))
    assert found == pytest.approx((seconds, seconds))
    assert opened == ["/proc/self/schedstat", "/proc/17/schedstat"]


def test_it_only_grows_and_is_nothing_for_a_process_that_is_gone() -> None:
    before = starved_seconds(os.getpid())
    assert 0 <= before <= starved_seconds(os.getpid())
    assert starved_seconds(2**31 - 1) == 0.0


def test_output_that_is_discarded_reaches_nobody_not_even_from_children() -> None:
    code = (
        "import subprocess, sys\n"
        "from retro_gamer.games.loading.watchdog import discard_output\n"
        "print('before', flush=True)\n"
        "discard_output(1, 2)\n"
        "print('after', flush=True)\n"
        "subprocess.run([sys.executable, '-c', 'print(1)'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("before\n", "")
