from __future__ import annotations

import numpy as np
import pytest

from retro_gamer.replay.samplers import SumTree

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
