from __future__ import annotations

import builtins
import io
import os
from typing import Any

import pytest

from retro_gamer.games.loading.watchdog import starved_seconds


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
