from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from retro_gamer.errors import GameFailedError
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.game_rules import find_game_problems, read_board_size
from retro_gamer.games.observation import finite_number


def find(state: dict[str, Any], **fields: Any) -> list[Any]:
    hero = SimpleNamespace(name="hero")
    metadata = GameMetadata(**{"actions": ("a",), "reward": "score", **fields})
    return find_game_problems(metadata, SimpleNamespace(state=state, agents=[hero]))


@pytest.mark.parametrize("value", [0, 1.5, True, -3, np.float32(2), np.int64(4), np.bool_(True)])
def test_any_finite_number_is_a_reward(value: object) -> None:
    assert find({"score": value}) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, "12", None, (1, 2), 10**400, 1j])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    (problem,) = find({"score": value, "points": 1})
    assert (problem.field, problem.value, problem.remedy) == ("reward", "score", 'reward = "points"')
    assert "finite number" in problem.rule


def test_a_missing_reward_lists_the_keys_there_are() -> None:
    (problem,) = find({"lives": 3, "scores": 1, "message": "hi"})
    assert "'lives', 'scores', 'message'" in problem.rule
    assert problem.remedy == 'reward = "scores"'
    (problem,) = find({})
    assert "no keys at all" in problem.rule
    assert 'reward = "@turns"' in problem.remedy


def test_observed_keys_must_be_numbers_of_the_state() -> None:
    state = {"score": 0, "lives": 3, "message": "hi"}
    assert find(state, observe_state=("lives",)) == []
    absent, text = find(state, observe_state=("level", "lives", "message"))
    assert (absent.value, absent.remedy) == ("level", 'observe_state = ["lives"]')
    assert "'lives'" in absent.rule
    assert (text.value, text.remedy) == ("message", 'observe_state = ["lives"]')
    assert "number" in text.rule


def test_what_is_proposed_for_the_reward_is_not_proposed_to_be_observed() -> None:
    reward, observed = find({"scores": 0, "lives": 3}, reward="scor", observe_state=("lifes",))
    assert reward.remedy == 'reward = "scores"'
    assert observed.remedy == 'observe_state = ["lives"]'


def test_a_described_player_must_be_among_the_agents() -> None:
    assert find({"score": 0}, player="hero") == []
    assert find({"score": 0}, player="SimpleNamespace") == []
    (problem,) = find({"score": 0}, player="heroo")
    assert problem.remedy == 'player = "hero"'


def test_the_board_size_is_read_from_the_game() -> None:
    assert read_board_size(SimpleNamespace(board_size=(32, 16))) == (32, 16)
    assert read_board_size(SimpleNamespace(board_size=[3, 4])) == (3, 4)


@pytest.mark.parametrize("size", [None, 5, (0, 3), (3, -1), (3.0, 4), (1, 2, 3), "ab", (40_000, 1)])
def test_a_board_without_a_size_is_the_games_fault(size: object) -> None:
    with pytest.raises(GameFailedError, match=r"board_size=\(32, 16\)"):
        read_board_size(SimpleNamespace(board_size=size))


def test_finite_number_keeps_the_value() -> None:
    assert finite_number(np.float32(0.5)) == 0.5
    assert finite_number(True) == 1.0
    assert finite_number("3") is None
