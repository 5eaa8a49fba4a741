from __future__ import annotations

import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games.loading import watchdog as hanging
from retro_gamer.games.loading.capture import interception
from retro_gamer.games.loading.launcher import find_source, load_factory
from retro_gamer.games.loading.watchdog import HungGameError, Watchdog
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
        with pytest.raises(GameFailedError, match=r"test_hanging\.py:\d+: HungGameError: did not come back"):
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


def test_what_a_busy_machine_keeps_from_a_game_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([0.0, 0.0, *range(1, 50)])  # each time it is asked, a second more was spent waiting
    excused: list[float] = []

    def starve() -> float:
        excused.append(next(told, 0.0) if len(excused) < 6 else 4.0)
        return excused[-1]

    monkeypatch.setattr(hanging, "starved_seconds", starve)
    session = scripted(sleep)
    with Watchdog(DEADLINE_SECONDS), pytest.raises(GameFailedError, match="HungGameError"):
        session.step(NOTHING)
    assert len(excused) > 6  # it was excused as long as that grew, and then no more


def test_a_slow_game_and_what_is_no_game_are_let_be() -> None:
    def slow(game: Game) -> None:
        threading.Event().wait(DEADLINE_SECONDS / 2)

    session = scripted(*[slow] * 6)
    with Watchdog(DEADLINE_SECONDS):
        for _ in range(6):  # longer in all than the deadline of one turn
            session.step(NOTHING)
        threading.Event().wait(3 * DEADLINE_SECONDS)
    assert interception.beats % 2 == 0


def test_everything_is_as_it_was_afterwards() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with Watchdog(DEADLINE_SECONDS):
        assert signal.getsignal(signal.SIGALRM) != before
    assert signal.getsignal(signal.SIGALRM) == before
    assert not [thread for thread in threading.enumerate() if thread.name == "hang watch"]


def test_an_alarm_that_comes_late_is_left_alone() -> None:
    watch = Watchdog(DEADLINE_SECONDS)
    watch._hung_at = interception.beats - 2
    watch._interrupt(signal.SIGALRM, None)
    watch._hung_at = interception.beats
    with pytest.raises(HungGameError):
        watch._interrupt(signal.SIGALRM, None)


STUBBORN = """
import ctypes, sys
from retro_gamer.games.loading.watchdog import Watchdog
from retro_gamer.games.loading.capture import interception

def hang():
    interception.enter()
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
def test_a_process_that_cannot_be_got_back_ends_and_leaves_its_line(tmp_path: Path, hang: str, said: str) -> None:
    script, words = tmp_path / "stubborn.py", tmp_path / "words.txt"
    script.write_text(STUBBORN.format(hang=hang))
    done = subprocess.run([sys.executable, str(script), str(words)], timeout=60, check=False)
    assert done.returncode != 0
    text = words.read_text()
    assert said in text
    assert f'File "{script}", line 8 in hang' in text
