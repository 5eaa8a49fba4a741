from __future__ import annotations

import os
import signal
import threading

import pytest

from retro_gamer.training.loop.end_conditions import StopRequest

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
