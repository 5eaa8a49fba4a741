from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from retro_gamer.acting.rollout import REWARD_LIMIT, n_step_transitions
from retro_gamer.replay.transitions import Transitions


def transitions_of(rewards: npt.ArrayLike, **given: Any) -> Transitions:
    """Return the transitions of turns whose rows and actions are numbered from 0."""
    turns = len(np.asarray(rewards))
    return n_step_transitions(rewards, rows=np.arange(turns + 1), actions=np.arange(turns), **given)


class Expected(NamedTuple):
    start: int
    next: int | None
    gain: float
    discount: float


def walk(
    rewards: list[float], terminated: bool, truncated: bool, n: int, gamma: float, last_row: int | None
) -> list[Expected]:
    """Follow each start turn by turn, as one would by hand."""
    turns = len(rewards)
    end = turns if last_row is None or terminated else last_row
    found = []
    for start in range(end):
        gain, row, factor, steps = 0.0, start, 1.0, 0
        while steps < n and row < end:
            gain += factor * rewards[row]
            factor *= gamma
            row += 1
            steps += 1
        over = terminated and row == turns
        if steps < n and not (terminated or truncated):
            continue
        found.append(Expected(start, None if over else row, gain, 0.0 if over else factor))
    return found


def _cases() -> list[tuple[int, bool, bool, int | None]]:
    return [
        (turns, terminated, truncated, last_row)
        for turns in range(8)
        for terminated, truncated in itertools.product([False, True], repeat=2)
        for last_row in [None, *range(turns + 1)]
    ]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 1.0])
def test_it_agrees_with_a_walk_turn_by_turn(n: int, gamma: float) -> None:
    random = np.random.default_rng(n)
    for turns, terminated, truncated, last_row in _cases():
        rewards = random.normal(size=turns)
        steps = transitions_of(rewards, terminated=terminated, truncated=truncated, n=n, gamma=gamma, last_row=last_row)
        expected = walk(rewards.tolist(), terminated, truncated, n, gamma, last_row)
        assert steps.first.tolist() == [e.start for e in expected]
        assert steps.action.tolist() == [e.start for e in expected]
        np.testing.assert_allclose(steps.returns, [e.gain for e in expected], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(steps.discounts, [e.discount for e in expected], rtol=1e-6)
        for reached, e in zip(steps.next, expected, strict=True):
            if e.next is None:
                assert 0 <= reached < turns, "a row that exists although the last one need not"
            else:
                assert reached == e.next


def test_the_types_are_those_of_a_block() -> None:
    steps = transitions_of([1.0, 2.0], terminated=True, truncated=False, n=1, gamma=0.9)
    assert [a.dtype for a in (steps.first, steps.next, steps.action, steps.returns, steps.discounts)] == [
        np.int32,
        np.int32,
        np.uint16,
        np.float32,
        np.float32,
    ]


def test_a_game_that_ends_keeps_its_last_starts() -> None:
    steps = transitions_of([0.0, 0.0, 8.0], terminated=True, truncated=False, n=3, gamma=0.5)
    assert steps.first.tolist() == [0, 1, 2]
    assert steps.returns.tolist() == [2.0, 4.0, 8.0]
    assert steps.discounts.tolist() == [0.0, 0.0, 0.0]


def test_a_game_cut_short_is_trusted_through_its_last_row() -> None:
    steps = transitions_of([1.0, 1.0, 1.0], terminated=False, truncated=True, n=2, gamma=0.5)
    assert steps.next.tolist() == [2, 3, 3]
    assert steps.returns.tolist() == [1.5, 1.5, 1.0]
    assert steps.discounts.tolist() == [0.25, 0.25, 0.5]


def test_a_stretch_that_goes_on_is_continued_without_loss_or_repetition() -> None:
    rewards = np.random.default_rng(0).normal(size=50)
    whole = transitions_of(rewards, terminated=True, truncated=False, n=4, gamma=0.9)
    starts: list[int] = []
    returns: list[float] = []
    offset = end = 0
    for turns in (3, 1, 10, 7, 29):
        end += turns
        over = end == len(rewards)
        piece = transitions_of(rewards[offset:end], terminated=over, truncated=False, n=4, gamma=0.9)
        starts += (piece.first + offset).tolist()
        returns += piece.returns.tolist()
        offset += len(piece.first)
    assert starts == whole.first.tolist() == list(range(50))
    np.testing.assert_array_equal(np.array(returns, np.float32), whole.returns)


def test_a_game_that_ends_and_is_cut_short_at_once_has_ended() -> None:
    steps = transitions_of([1.0, 1.0], terminated=True, truncated=True, n=5, gamma=0.9)
    assert steps.discounts.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("reward", [1e308, -1e308])
def test_enormous_rewards_stay_finite(reward: float) -> None:
    steps = transitions_of([reward, -reward, reward], terminated=True, truncated=False, n=3, gamma=1.0)
    assert np.isfinite(steps.returns).all()
    assert steps.returns[2] == np.float32(np.sign(reward) * REWARD_LIMIT)


@pytest.mark.parametrize(("n", "last_row"), [(0, None), (-1, None), (1, -1), (1, 4)])
def test_arguments_out_of_range_are_refused(n: int, last_row: int | None) -> None:
    with pytest.raises(ValueError, match=r"within 0\.\.3"):
        transitions_of([1.0, 2.0, 3.0], terminated=False, truncated=True, n=n, gamma=0.9, last_row=last_row)


def test_rows_and_actions_are_those_given() -> None:
    steps = n_step_transitions(
        [1.0, 2.0, 3.0], rows=[7, 4, 9, 2], actions=[5, 6, 8], terminated=False, truncated=True, n=2, gamma=1.0
    )
    assert (steps.first.tolist(), steps.next.tolist()) == ([7, 4, 9], [9, 2, 2])
    assert steps.action.tolist() == [5, 6, 8]
