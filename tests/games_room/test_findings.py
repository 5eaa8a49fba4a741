from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import pytest

from retro_gamer.games.probe.findings import Failure, KeyTrials, ProbeFindings, StateKey, add_up


def met(*values: Any) -> StateKey:
    key = StateKey()
    for before, value in zip(values[:1] + values, values, strict=False):
        key.meet(value, before)
    return key


@pytest.mark.parametrize(
    ("values", "types", "low", "high", "changes", "is_number"),
    [
        ((0, 1, 1, 5), {"int"}, 0, 5, 2, True),
        ((2.5, True), {"float", "bool"}, 1, 2.5, 1, True),
        (("a", "b"), {"str"}, None, None, 1, False),
        ((1, "b"), {"int", "str"}, 1, 1, 1, False),
        ((math.nan,), {"float"}, None, None, 1, False),
    ],
)
def test_what_a_key_held(
    values: tuple[Any, ...], types: set[str], low: float, high: float, changes: int, is_number: bool
) -> None:
    key = met(*values)
    assert (key.types, key.low, key.high, key.is_number) == (types, low, high, is_number)
    if values[0] == values[0]:
        assert key.changes == changes


def test_two_halves_make_the_whole() -> None:
    values = (0, 1, 2, 2, 7, 3)
    first, second = met(*values[:3]), StateKey()
    for before, value in itertools.pairwise(values[2:]):
        second.meet(value, before)
    first.add(second)
    whole = met(*values)
    assert (first.low, first.high, first.changes, first.steady_steps) == (
        whole.low, whole.high, whole.changes, whole.steady_steps,
    )  # fmt: skip


def test_findings_add_up() -> None:
    parts = [
        ProbeFindings(
            how="main()",
            turns=10,
            seconds=2.0,
            episode_turns=[10],
            characters=Counter("ab"),
            state={"score": met(0, 1)},
            keys={"a": KeyTrials(trials=2, changed=1, outcomes={"0/1": "x"})},
            failures=[Failure(seed=1, turn=2, text="boom")],
            n_failures=1,
            repeats=repeats,
        )
        for repeats in (True, None, False)
    ]
    whole = add_up(parts)
    assert (whole.how, whole.turns, whole.turns_per_second) == ("main()", 30, 5.0)
    assert (whole.episodes, whole.n_failures, len(whole.failures)) == (3, 3, 3)
    assert whole.characters == {"a": 3, "b": 3}
    assert (whole.keys["a"].trials, whole.keys["a"].changed) == (6, 3)
    assert whole.state["score"].changes == 3
    assert whole.repeats is False
