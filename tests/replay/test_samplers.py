from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from retro_gamer.replay.buffer import ReplayBuffer
from retro_gamer.replay.samplers import SMALLEST_ERROR, TAIL, Priorities, RareTransitions, SumTree, find_rare
from retro_gamer.replay.transitions import TransitionRing, Transitions
from tests.replay.blocks import chain, make_buffer

CAPACITIES = [1, 2, 15, 16, 17, 1024, 1025, 16 * 1024, 16 * 1024 + 1, 40_000]


def _set_at_random(tree: SumTree, twin: np.ndarray, random: np.random.Generator, rounds: int, largest: int) -> None:
    for _ in range(rounds):
        count = int(random.integers(0, 200))
        indices = random.integers(0, len(twin), count)
        values = random.integers(0, largest, count).astype(np.float64)
        tree.set(indices, values)
        for index, value in zip(indices, values, strict=True):
            twin[index] = value


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_it_agrees_with_a_plain_array_under_random_operations(capacity: int) -> None:
    random = np.random.default_rng(capacity)
    tree, twin = SumTree(capacity), np.zeros(capacity)
    for _ in range(10):
        # Whole numbers add up without rounding, so the twin's running sum must agree to the last bit.
        _set_at_random(tree, twin, random, rounds=3, largest=1000)
        assert tree.total == twin.sum()
        np.testing.assert_array_equal(tree.get(np.arange(capacity)), twin)
        if twin.sum() == 0:
            continue
        targets = np.concatenate([random.random(300) * twin.sum(), random.integers(0, int(twin.sum()), 300)])
        expected = np.searchsorted(np.cumsum(twin), targets, side="right")
        np.testing.assert_array_equal(tree.sample(targets), expected)


def test_every_boundary_between_two_values_is_exact() -> None:
    values = np.array([3.0, 0.0, 2.0, 0.0, 0.0, 5.0, 1.0])
    tree = SumTree(len(values))
    tree.set(np.arange(len(values)), values)
    assert tree.sample(np.arange(11.0)).tolist() == [0, 0, 0, 2, 2, 5, 5, 5, 5, 5, 6]


def test_an_index_is_drawn_as_often_as_its_value_says() -> None:
    random = np.random.default_rng(1)
    values = random.random(3000) ** 4
    tree = SumTree(len(values))
    tree.set(np.arange(len(values)), values)
    draws = 600_000
    counts = np.bincount(tree.sample(random.random(draws) * tree.total), minlength=len(values))
    expected = draws * values / values.sum()
    deviation = (counts - expected) / np.sqrt(np.maximum(expected, 1))
    assert np.abs(deviation).max() < 6
    assert 0.9 < np.square(deviation[expected > 5]).mean() < 1.1


def test_of_an_index_that_comes_twice_the_last_value_stays() -> None:
    tree = SumTree(2000)
    tree.set(np.array([7, 1999, 7, 1999, 7]), np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert tree.get(np.array([7, 1999])).tolist() == [5.0, 4.0]
    assert tree.total == 9.0


@pytest.mark.parametrize("capacity", [5, 1030, 20_000])
def test_a_value_of_zero_is_never_drawn(capacity: int) -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        values = np.where(random.random(capacity) < 0.9, 0.0, random.random(capacity))
        values[random.integers(capacity)] = 0.1
        tree = SumTree(capacity)
        tree.set(np.arange(capacity), values)
        total = tree.total
        targets = np.concatenate([random.random(2000) * total, [0.0, total, np.nextafter(total, 0), 2 * total]])
        assert (values[tree.sample(targets)] > 0).all()


def test_values_of_very_different_size_do_not_lead_to_an_empty_slot() -> None:
    random = np.random.default_rng(3)
    values = np.where(random.random(5000) < 0.5, 0.0, 10.0 ** random.uniform(-300, 30, 5000))
    tree = SumTree(5000)
    tree.set(np.arange(5000), values)
    targets = random.random(5000) * tree.total * 10.0 ** random.uniform(-320, 0, 5000)
    assert (values[tree.sample(targets)] > 0).all()


def test_a_target_between_two_roundings_of_the_same_sum_still_finds_a_value() -> None:
    random = np.random.default_rng(5)
    found = 0
    for _ in range(300):
        values = np.concatenate([[0.0], random.random(15)])
        if values.sum() <= np.cumsum(values)[-1]:
            continue
        found += 1
        tree = SumTree(2000)
        tree.set(np.arange(16) + 160, values)
        assert tree.sample(np.array([np.nextafter(tree.total, 0)])).tolist() == [175]
    assert found > 20, "the two ways of adding up must differ for this test to show anything"


def test_sums_depend_on_the_values_and_not_on_the_way_to_them() -> None:
    random = np.random.default_rng(4)
    capacity = 20_000
    walked = SumTree(capacity)
    values = np.zeros(capacity)
    for _ in range(500):
        indices = random.integers(0, capacity, int(random.integers(1, 3000)))
        new = random.random(len(indices)) * 10.0 ** random.integers(-8, 8)
        walked.set(indices, new)
        values[indices] = new
    direct, piecewise = SumTree(capacity), SumTree(capacity)
    direct.set(np.arange(capacity), values)
    for index in random.permutation(capacity):
        piecewise.set(np.array([index]), values[index : index + 1])
    targets = random.random(10_000) * direct.total
    for tree in (walked, piecewise):
        assert tree.total == direct.total
        np.testing.assert_array_equal(tree.sample(targets), direct.sample(targets))


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_value_that_is_no_share_is_refused_and_nothing_changed(value: float) -> None:
    tree = SumTree(10)
    tree.set(np.arange(10), np.ones(10))
    with pytest.raises(ValueError, match="finite and not negative"):
        tree.set(np.array([1, 2]), np.array([5.0, value]))
    assert tree.get(np.arange(10)).tolist() == [1.0] * 10


@pytest.mark.parametrize("index", [-1, 10, 15])
def test_an_index_out_of_range_is_refused_and_nothing_changed(index: int) -> None:
    tree = SumTree(10)
    with pytest.raises(ValueError, match=r"0\.\.9"):
        tree.set(np.array([1, index]), np.array([5.0, 5.0]))
    assert tree.total == 0


def test_nothing_can_be_drawn_from_nothing() -> None:
    tree = SumTree(2000)
    with pytest.raises(ValueError, match="all 0"):
        tree.sample(np.array([0.0]))
    tree.set(np.array([1500]), np.array([2.0]))
    assert tree.sample(np.array([0.0, 1.0])).tolist() == [1500, 1500]
    tree.set(np.array([1500]), np.array([0.0]))
    with pytest.raises(ValueError, match="all 0"):
        tree.sample(np.array([0.0]))


def test_setting_nothing_changes_nothing() -> None:
    tree = SumTree(3)
    tree.set(np.zeros(0, np.int64), np.zeros(0))
    assert tree.total == 0


def test_a_tree_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        SumTree(0)


def test_it_takes_little_more_than_its_values() -> None:
    assert SumTree(1_000_000).memory_bytes < 8.6 * 1_000_000


def _priorities(values: list[float], importance_exponent: float = 0.4) -> Priorities:
    priorities = Priorities(len(values), 0.6, importance_exponent)
    priorities.set(np.arange(len(values)), np.array(values))
    return priorities


def test_priorities_are_errors_to_the_exponent() -> None:
    errors = np.array([0.0, 1.0, -2.0, 1e30], np.float32)
    expected = [(abs(float(error)) + SMALLEST_ERROR) ** 0.6 for error in errors]
    np.testing.assert_allclose(Priorities(1, 0.6, 0.4).from_errors(errors), expected, rtol=1e-12)
    assert Priorities(1, 0.0, 0.4).from_errors(errors).tolist() == [1.0] * 4


@pytest.mark.parametrize("error", [np.nan, np.inf, -np.inf])
def test_an_error_that_is_not_finite_is_refused(error: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Priorities(1, 0.6, 0.4).from_errors(np.array([error], np.float32))


def test_each_batch_draws_once_from_every_equal_share() -> None:
    priorities = _priorities([1.0, 2.0, 0.0, 4.0, 1.0])
    slots = priorities.draw(50, 8, np.random.default_rng(0))
    assert slots.shape == (50, 8)
    # Shares of 1 each: exactly as many of each slot in each batch as its priority says.
    for batch in slots:
        assert batch.tolist() == [0, 1, 1, 3, 3, 3, 3, 4]


def test_slots_are_drawn_in_proportion() -> None:
    values = np.random.default_rng(1).random(40) ** 3
    priorities = _priorities(values.tolist())
    counts = np.bincount(priorities.draw(5000, 7, np.random.default_rng(2)).reshape(-1), minlength=40)
    np.testing.assert_allclose(counts / counts.sum(), values / values.sum(), atol=0.004)


@pytest.mark.parametrize("exponent", [0.0, 0.4, 1.0])
def test_weights_follow_the_formula_with_each_batch_scaled_to_one(exponent: float) -> None:
    values = [0.5, 1.0, 2.0, 6.5]
    priorities = _priorities(values, exponent)
    weights = priorities.weights(np.array([[0, 1, 3], [3, 3, 2]]), 4)
    chances = [value / 10 for value in values]
    raw = [(4 * chance) ** -exponent for chance in chances]
    expected = [[raw[0] / raw[0], raw[1] / raw[0], raw[3] / raw[0]], [raw[3] / raw[2], raw[3] / raw[2], 1.0]]
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_full_correction_makes_the_weighted_mean_that_of_uniform_draws() -> None:
    random = np.random.default_rng(3)
    values = random.random(200) + 0.05
    payload = random.normal(size=200)
    priorities = _priorities(values.tolist(), 1.0)
    slots = priorities.draw(1, 200_000, random)
    weights = priorities.weights(slots, 200).astype(np.float64)
    assert abs((weights * payload[slots]).sum() / weights.sum() - payload.mean()) < 0.01
    assert abs(payload[slots].mean() - payload.mean()) > 0.01, "without the weights it is another mean"


def rare_of(returns: list[float], ended: list[int] | None = None) -> list[int]:
    discounts = np.full(len(returns), 0.99, np.float32)
    discounts[ended or []] = 0
    return np.flatnonzero(find_rare(np.array(returns, np.float32), discounts)).tolist()


def test_of_returns_that_are_nearly_all_alike_every_other_one_is_rare() -> None:
    assert rare_of([0.0] * 50 + [1.0, -10.0] + [0.0] * 50) == [50, 51]
    assert rare_of([1.0] * 40 + [0.97] + [1.0] * 40) == [40]


def test_returns_that_many_others_have_are_not_rare() -> None:
    assert rare_of([0.0, 1.0, -1.0, 2.0] * 25) == []


def test_of_returns_that_all_differ_the_tails_are_rare() -> None:
    returns = np.random.default_rng(0).permutation(1000).astype(float).tolist()
    assert len(rare_of(returns)) == pytest.approx(2 * TAIL * 1000, abs=2)
    assert {returns[i] for i in rare_of(returns)} >= {0.0, 999.0}


def test_the_end_of_a_game_is_rare_whatever_it_brings() -> None:
    assert rare_of([1.0] * 30, ended=[4, 29]) == [4, 29]


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_of_a_few_none_is_in_a_tail(n: int) -> None:
    assert rare_of([float(i) for i in range(n)]) == []


def append(ring: TransitionRing, returns: list[float]) -> None:
    count = len(returns)
    names = np.arange(ring.added, ring.added + count, dtype=np.int64)
    new = Transitions(
        first=names,
        next=names,
        action=np.zeros(count, np.uint16),
        returns=np.array(returns, np.float32),
        discounts=np.full(count, 0.9, np.float32),
    )
    ring.append(new, names.astype(np.int32), names.astype(np.int32))
    ring.evict(0)


def test_they_are_found_anew_once_the_ring_has_changed() -> None:
    ring = TransitionRing(100)
    rare = RareTransitions(ring)
    assert len(rare.slots) == 0
    append(ring, [0.0] * 60 + [5.0] + [0.0] * 29)
    assert rare.slots.tolist() == [60]
    append(ring, [0.0] * 20 + [7.0])  # over the slots 90 to 99 and 0 to 10
    assert rare.slots.tolist() == [60, 10]
    append(ring, [0.0] * 60)
    assert rare.slots.tolist() == [10]


def buffer_with_one_rare(**changed: object) -> ReplayBuffer:
    buffer = make_buffer(capacity=200, prioritized=False, **changed)
    block = chain(100)
    returns = np.zeros(100, np.float32)
    returns[33] = 1.0
    buffer.push(dataclasses.replace(block, returns=returns, discounts=np.full(100, 0.9, np.float32)))
    return buffer


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.01), (0.25, 0.25 + 0.0075), (1.0, 1.0)])
def test_the_rare_ones_fill_their_share_of_every_batch(share: float, expected: float) -> None:
    batches = buffer_with_one_rare(rare_share=share).sample(50, 64)
    drawn = np.stack([batch.ids == 33 for batch in batches])
    assert drawn.mean() == pytest.approx(expected, abs=0.01)
    assert (drawn.sum(axis=1) >= round(share * 64)).all()
    assert all((batch.weights == 1).all() for batch in batches)


def test_where_none_is_rare_every_record_is_drawn_equally_often() -> None:
    buffer = make_buffer(capacity=200, prioritized=False, rare_share=0.5)
    block = chain(10)
    buffer.push(dataclasses.replace(block, returns=np.zeros(10, np.float32), discounts=np.ones(10, np.float32)))
    ids = np.concatenate([batch.ids for batch in buffer.sample(50, 64)])
    np.testing.assert_allclose(np.bincount(ids) / len(ids), 0.1, atol=0.02)


def test_a_memory_that_was_put_back_draws_what_the_first_one_does() -> None:
    first, second = buffer_with_one_rare(rare_share=0.5), buffer_with_one_rare(rare_share=0.5, seed=9)
    second.set_state(first.get_state())
    np.testing.assert_array_equal(first.sample(1, 64)[0].ids, second.sample(1, 64)[0].ids)
