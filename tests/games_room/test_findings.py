from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import pytest

from retro_gamer.games.description import GameMetadata
from retro_gamer.games.probe.findings import (
    Failure,
    GamePay,
    KeyEffects,
    ProbeFindings,
    StateKey,
    can_tell,
    combine,
    judge_keys,
    propose_actions,
    propose_description,
    rank_rewards,
)


def met(*values: Any) -> StateKey:
    key = StateKey()
    for before, value in zip(values[:1] + values, values, strict=False):
        key.add_value(value, before)
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
        second.add_value(value, before)
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
            keys={"a": KeyEffects(tries=2, changed=1, outcomes={"0/1": "x"})},
            failures=[Failure(seed=1, turn=2, text="boom")],
            n_failures=1,
            repeats=repeats,
        )
        for repeats in (True, None, False)
    ]
    whole = combine(parts)
    assert (whole.how, whole.turns, whole.turns_per_second) == ("main()", 30, 5.0)
    assert (whole.episodes, whole.n_failures, len(whole.failures)) == (3, 3, 3)
    assert whole.characters == {"a": 3, "b": 3}
    assert (whole.keys["a"].tries, whole.keys["a"].changed) == (6, 3)
    assert whole.state["score"].changes == 3
    assert whole.repeats is False


TURNS = 100


def key(changes: int, *steps: float, types: str = "int") -> StateKey:
    return StateKey(types={types}, low=0, high=9, changes=changes, steady_steps=Counter(steps))


def text(*values: str) -> StateKey:
    return StateKey(types={"str"}, values=list(values), changes=1)


def tried(changed: int = 5, ended: int = 0, same_as: str = "") -> KeyEffects:
    outcomes = {f"0/{i}": f"{same_as}{i}" for i in range(changed)}
    return KeyEffects(tries=10, changed=changed, ended=ended, outcomes=outcomes)


def findings(**values: Any) -> ProbeFindings:
    return ProbeFindings(turns=TURNS, board_size=(10, 8), view_size=(10, 8), **values)


@pytest.mark.parametrize(
    ("state", "messages", "ranked"),
    [
        ({"score": key(9, 1, 5), "x": key(90, 1, -1)}, "", ["score", "x", "@turns", "@end"]),
        ({"steps": key(100, 1)}, "", ["@turns", "@end"]),
        ({"score": key(100, 1)}, "", ["score", "@turns", "@end"]),
        ({"gems": key(9, 1)}, "", ["gems", "@turns", "@end"]),
        ({"score": key(0)}, "", ["@turns", "@end"]),
        ({"mood": text("calm")}, "You win!", ["@end", "@turns"]),
        ({}, "", ["@turns", "@end"]),
        ({"lives": key(3, -1), "points": key(1, 1)}, "", ["points", "lives", "@turns", "@end"]),
    ],
)
def test_rewards_are_ranked(state: dict[str, StateKey], messages: str, ranked: list[str]) -> None:
    assert rank_rewards(findings(state=state, messages_at_end=Counter([messages]))) == ranked


def test_what_grows_with_losing_is_the_last_that_is_recommended() -> None:
    state = {"lost": key(9, -1, 1), "harvest": key(3, -1, 1), "Misses": key(5, -1, 1)}
    assert rank_rewards(findings(state=state)) == ["harvest", "@turns", "@end", "lost", "Misses"]


def test_keys_are_judged() -> None:
    found = findings(
        keys_in_code=("KEY_LEFT", "a", "q", "h", "@"),
        characters=Counter("@"),
        keys={
            "KEY_LEFT": tried(same_as="left"),
            "a": tried(same_as="left"),
            "q": tried(ended=5, same_as="q"),
            "h": tried(0),
            "@": tried(0),
            " ": tried(same_as="shoot"),
        },
    )
    verdict = judge_keys(found)
    assert verdict.effective == ("KEY_LEFT", "a", "q", " ")
    assert verdict.idle == ("h",)
    assert verdict.same == (("KEY_LEFT", "a"),)
    assert verdict.quitting == ("q",)
    assert propose_actions(found) == ["KEY_LEFT", " "]


def test_keys_that_could_not_be_tried_are_taken_from_the_code() -> None:
    verdict = judge_keys(findings(keys_in_code=("w", "KEY_UP")))
    assert (verdict.tried, verdict.effective) == (False, ("w", "KEY_UP"))
    assert propose_actions(findings(keys_in_code=("w",))) == ["w"]
    assert propose_actions(findings()) == []
    assert "actions" not in propose_description(findings(), {})


def test_a_key_that_the_code_names_beyond_doubt_is_kept_without_evidence() -> None:
    found = findings(
        keys_in_code=("a", "KEY_UP", "h"),
        certain_keys=("a", "KEY_UP"),
        keys={"a": tried(0), "KEY_UP": tried(0), "h": tried(0)},
        acting=("z",),
        failing_keys={"KEY_UP": "boom"},
    )
    verdict = judge_keys(found)
    assert (verdict.effective, verdict.unproven, verdict.idle) == (("z",), ("a",), ("a", "h"))
    assert verdict.failing == ("KEY_UP",)
    assert propose_actions(found) == ["z", "a"]


def test_if_any_key_acts_one_is_proposed() -> None:
    found = findings(keys={" ": tried(0)}, any_key=3)
    assert propose_actions(found) == [" "]
    found.acting = ("a",)
    assert propose_actions(found) == ["a"]


def test_a_suggested_description_is_a_valid_one() -> None:
    found = findings(
        keys_in_code=("KEY_UP",),
        characters=Counter("@#"),
        state={"score": key(3, 1, 2), "lives": key(2, -1)},
        movers=["ship"],
    )
    suggested = propose_description(found, {})
    assert suggested == {
        "actions": ["KEY_UP"],
        "reward": "score",
        "character_set": ["#", "@"],
        "spatial": True,
        "observe_state": ["lives"],
        "player": "ship",
    }
    GameMetadata.from_mapping(suggested, "the test")


def test_only_what_is_missing_is_suggested_and_the_window_where_it_pays() -> None:
    found = findings(characters=Counter("@"), state={"lives": key(2, -1)})
    found.board_size = (40, 8)
    described = {"actions": ["a"], "reward": "lives", "spatial": False}
    assert propose_description(found, described) == {"character_set": ["@"], "observe": "view"}
    found.board_size = (39, 8)
    assert "observe" not in propose_description(found, described)


def games(*pays: dict[str, float], ended: bool = True) -> list[GamePay]:
    return [GamePay(has_ended=ended, pay=pay) for pay in pays]


@pytest.mark.parametrize(
    ("state", "played", "first", "tells"),
    [
        ({}, games({"@turns": 9, "@end": -1}, {"@turns": 5, "@end": -1}), "@turns", True),
        ({}, games({"@turns": 9, "@end": -1}, {"@turns": 9, "@end": 1}), "@end", True),
        ({}, games({"@turns": 9, "@end": -1}, {"@turns": 9, "@end": -1}), "@turns", False),
        ({}, games({"@turns": 99}, {"@turns": 99}, ended=False), "@turns", False),
        ({"lives": key(3, -1)}, games({"@turns": 9, "lives": -3}, {"@turns": 5, "lives": -3}), "@turns", True),
        ({"lives": key(3, -1)}, games({"@turns": 9, "lives": -3}, {"@turns": 5, "lives": -2}), "lives", True),
        ({"gone": key(2, 1)}, games({"@turns": 9, "gone": 1}, {"@turns": 5, "gone": 1}), "@turns", True),
        ({"enemy_score": key(3, 1, 2)}, games({"@turns": 9, "enemy_score": 2}, {"@turns": 5}), "@turns", True),
        ({"score": key(3, 1, 2)}, games({"@turns": 9, "score": 5}, {"@turns": 5, "score": 5}), "score", True),
    ],
)
def test_a_reward_is_judged_by_what_it_paid(
    state: dict[str, StateKey], played: list[GamePay], first: str, tells: bool
) -> None:
    found = findings(state=state, games=played)
    assert rank_rewards(found)[0] == first
    assert can_tell(found, first) == tells
    assert propose_description(found, {}).get("reward") == (first if tells else None)
