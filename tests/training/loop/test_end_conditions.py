from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from retro_gamer.errors import EngineError, GameFailedError
from retro_gamer.training.loop.end_conditions import (
    ACTOR_FAILURES_IN_A_ROW,
    FAILURES_IN_A_ROW,
    MOST_KINDS,
    REPLAY_FAILURES_IN_A_ROW,
    FailuresInARow,
    GameFailures,
    StopRequest,
    WorkerFailures,
    kind_of,
    warnings_held_back,
)

SAME = [
    ("g failed at turn 3: game.py:12: KeyError: (3, 4)", "g failed at turn 9: game.py:12: KeyError: (7, 1)"),
    ("the reward 'score' is 'a', no number, at turn 1", "the reward 'score' is 'bc', no number, at turn 7"),
    ("it had grown by 1,024 MB", "it had grown by 3,001 MB"),
]  # fmt: skip
DIFFERENT = [
    ("g failed at turn 3: game.py:12: KeyError: 4", "g failed at turn 3: game.py:13: KeyError: 4"),
    ("g failed at turn 3: game.py:12: KeyError: 4", "g failed at turn 3: game.py:12: IndexError: 4"),
    ("g failed at turn 3: a.py:12: KeyError: 4", "g failed at turn 3: b.py:12: KeyError: 4"),
    ("the reward 'score' is missing from the state", "the reward 'score' is None, no finite number,"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_what_differs_only_in_turn_and_values_is_said_once(first: str, second: str) -> None:
    failures = GameFailures()
    assert failures.describe("The game failed", first) == f"The game failed: {first}"
    assert failures.describe("The game failed", second) is None


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_another_line_error_or_fault_is_another_kind(first: str, second: str) -> None:
    assert kind_of(first) != kind_of(second)


def test_a_game_that_always_fails_in_a_new_way_does_not_fill_the_log() -> None:
    failures = GameFailures()
    said = [failures.describe("The game failed", f"strange {'x' * i} thing") for i in range(10 * MOST_KINDS)]
    texts = [text for text in said if text is not None]
    assert len(texts) == MOST_KINDS + 1
    assert "no more are reported" in texts[-1]


def test_failures_in_a_row_end_it_and_turns_in_between_do_not() -> None:
    failures = GameFailures()
    for _ in range(5 * FAILURES_IN_A_ROW):
        failures.count(["game.py:3: KeyError"] * (FAILURES_IN_A_ROW - 1), progressed=False)
        failures.count(["game.py:3: KeyError"], progressed=True)
    failures.count(["game.py:3: KeyError"] * (FAILURES_IN_A_ROW - 1), progressed=False)
    failures.count([], progressed=False)  # nothing was granted, nothing is known
    with pytest.raises(GameFailedError, match=rf"{FAILURES_IN_A_ROW} times in a row .* game\.py:4: IndexError"):
        failures.count(["game.py:4: IndexError"], progressed=False)


def fail(in_a_row: FailuresInARow, count: int) -> None:
    for number in range(count):
        in_a_row.add(f"reason {number}")


def test_failures_in_a_row_end_training_and_an_episode_in_between_does_not() -> None:
    failures = WorkerFailures(2)
    for in_a_row in (failures.actors, failures.recycled):
        fail(in_a_row, 2 * ACTOR_FAILURES_IN_A_ROW - 1)
    failures.reset_actors()
    for in_a_row, remedy in ((failures.actors, "--actors 0"), (failures.recycled, "actor_growth_megabytes")):
        fail(in_a_row, 2 * ACTOR_FAILURES_IN_A_ROW - 1)
        with pytest.raises(EngineError, match=rf"10 times .*: killed\\x1b\n.*{remedy}"):
            in_a_row.add("killed\x1b")


def test_replay_lost_in_a_row_ends_training_and_an_update_in_between_does_not() -> None:
    replay = WorkerFailures(2).replay
    fail(replay, REPLAY_FAILURES_IN_A_ROW - 1)
    replay.reset()
    fail(replay, REPLAY_FAILURES_IN_A_ROW - 1)
    with pytest.raises(EngineError, match=r"4 times .*: killed\n.*memory_capacity"):
        replay.add("killed")


SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noted_and_the_second_interrupts(number: signal.Signals) -> None:
    with StopRequest() as stop:
        assert not stop.is_made
        os.kill(os.getpid(), number)
        assert stop.is_made
        assert stop.signal_number == number
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.signal_number == number


def test_handlers_are_put_back_even_after_an_error() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]

    def fail_within() -> None:
        with StopRequest():
            assert all(signal.getsignal(number) not in before for number in SIGNALS)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_within()
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_process_that_ignores_interrupts_can_still_be_stopped() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts its background jobs
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.is_made
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_no_handler_is_touched() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def enter() -> None:
        with StopRequest() as stop:
            seen.extend([signal.getsignal(signal.SIGINT), stop.is_made])

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before, False]


@pytest.mark.parametrize("number", StopRequest.WARNINGS)
def test_a_warning_is_a_request_and_may_come_again(number: signal.Signals) -> None:
    with StopRequest() as stop:
        signal.raise_signal(number)
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)  # Slurm's next step
        assert stop.signal_number == number
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
def test_a_warning_that_is_ignored_or_handled_by_the_program_is_no_request(handler: Any) -> None:
    """After nohup SIGHUP is ignored."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_made
        assert signal.getsignal(signal.SIGHUP) is handler
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_process_started_while_warnings_are_held_back_never_receives_them() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGUSR1); print('lives')"
    with StopRequest() as stop:
        with warnings_held_back():
            signal.raise_signal(signal.SIGUSR2)
            assert not stop.is_made
            assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout == b"lives\n"
        assert stop.signal_number == signal.SIGUSR2


def test_a_process_that_only_follows_heeds_no_warnings() -> None:
    with StopRequest(heeds_warnings=False):
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
