from __future__ import annotations

import pytest

from retro_gamer.errors import GameFailedError
from retro_gamer.training.loop.end_conditions import FAILURES_IN_A_ROW, MOST_KINDS, GameFailures, kind_of

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
    book = GameFailures()
    assert book.describe("The game failed", first) == f"The game failed: {first}"
    assert book.describe("The game failed", second) is None


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_another_line_error_or_fault_is_another_kind(first: str, second: str) -> None:
    assert kind_of(first) != kind_of(second)


def test_a_game_that_always_fails_in_a_new_way_does_not_fill_the_log() -> None:
    book = GameFailures()
    said = [book.describe("The game failed", f"strange {'x' * i} thing") for i in range(10 * MOST_KINDS)]
    texts = [text for text in said if text is not None]
    assert len(texts) == MOST_KINDS + 1
    assert "no more are reported" in texts[-1]


def test_failures_in_a_row_end_it_and_turns_in_between_do_not() -> None:
    book = GameFailures()
    for _ in range(5 * FAILURES_IN_A_ROW):
        book.count(["game.py:3: KeyError"] * (FAILURES_IN_A_ROW - 1), progressed=False)
        book.count(["game.py:3: KeyError"], progressed=True)
    book.count(["game.py:3: KeyError"] * (FAILURES_IN_A_ROW - 1), progressed=False)
    book.count([], progressed=False)  # nothing was granted, nothing is known
    with pytest.raises(GameFailedError, match=rf"{FAILURES_IN_A_ROW} times in a row .* game\.py:4: IndexError"):
        book.count(["game.py:4: IndexError"], progressed=False)
