from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from retro_gamer.replay.buffer import ReplayBuffer
from retro_gamer.replay.samplers import TAIL, RareExperiences, find_rare
from retro_gamer.replay.transitions import TransitionRing, Transitions
from tests.replay.blocks import chain, make_buffer


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
    rare = RareExperiences(ring)
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
    batches = buffer_with_one_rare(rare_share=share).sample_many(50, 64)
    drawn = np.stack([batch.ids == 33 for batch in batches])
    assert drawn.mean() == pytest.approx(expected, abs=0.01)
    assert (drawn.sum(axis=1) >= round(share * 64)).all()
    assert all((batch.weights == 1).all() for batch in batches)


def test_where_none_is_rare_every_record_is_drawn_equally_often() -> None:
    buffer = make_buffer(capacity=200, prioritized=False, rare_share=0.5)
    block = chain(10)
    buffer.push(dataclasses.replace(block, returns=np.zeros(10, np.float32), discounts=np.ones(10, np.float32)))
    ids = np.concatenate([batch.ids for batch in buffer.sample_many(50, 64)])
    np.testing.assert_allclose(np.bincount(ids) / len(ids), 0.1, atol=0.02)


def test_a_memory_that_was_put_back_draws_what_the_first_one_does() -> None:
    first, second = buffer_with_one_rare(rare_share=0.5), buffer_with_one_rare(rare_share=0.5, seed=9)
    second.set_state(first.get_state())
    np.testing.assert_array_equal(first.sample(64).ids, second.sample(64).ids)
