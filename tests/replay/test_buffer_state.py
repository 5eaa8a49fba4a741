from __future__ import annotations

import io
import itertools
import json
from typing import Any

import numpy as np
import pytest

from retro_gamer.replay import buffer as buffer_module
from retro_gamer.replay.buffer import ReplayBuffer
from retro_gamer.replay.transitions import Batch
from tests.replay.blocks import chain, make_buffer
from tests.replay.test_buffer import random_block


def _played(buffer: ReplayBuffer, seed: int, rounds: int = 40) -> ReplayBuffer:
    random, serial = np.random.default_rng(seed), itertools.count(1000 * seed)
    for _ in range(rounds):
        buffer.push(random_block(random, serial, priorities=random.random() < 0.5))
        if len(buffer):
            batch = buffer.sample(1, 4)[0]
            buffer.update_priorities(batch.ids, random.random(4).astype(np.float32))
    return buffer


def _through_files(state: dict[str, Any]) -> dict[str, Any]:
    """Write the state as a snapshot would, in arrays and JSON without any pickle, and read it back."""
    file = io.BytesIO()
    arrays: dict[str, Any] = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    np.savez(file, **arrays)
    file.seek(0)
    plain: dict[str, Any] = json.loads(json.dumps({name: value for name, value in state.items() if name not in arrays}))
    return plain | dict(np.load(file, allow_pickle=False))


def _assert_equal(batch: Batch, other: Batch) -> None:
    for name in Batch.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(batch, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("prioritized", [True, False])
@pytest.mark.parametrize(("capacity", "n_rows"), [(20, 30), (20, 15), (500, 4000)])
@pytest.mark.parametrize("seed", range(3))
def test_a_restored_memory_goes_on_exactly_as_the_first(
    monkeypatch: pytest.MonkeyPatch, prioritized: bool, capacity: int, n_rows: int, seed: int
) -> None:
    monkeypatch.setattr(buffer_module, "row_capacity", lambda capacity, spare: n_rows)
    buffer = _played(make_buffer(capacity=capacity, prioritized=prioritized), seed)
    # Restored over a memory that holds something else and stands elsewhere.
    other = _played(make_buffer(capacity=capacity, prioritized=prioritized, seed=9), seed + 50, rounds=seed * 20)
    other.set_state(_through_files(buffer.get_state()))
    assert (len(other), other.added, other.turns) == (len(buffer), buffer.added, buffer.turns)
    for round_ in range(20):
        if len(buffer):
            batches, others = buffer.sample(3, 5), other.sample(3, 5)
            for batch, twin in zip(batches, others, strict=True):
                _assert_equal(batch, twin)
            errors = np.random.default_rng(round_).random(5).astype(np.float32)
            assert buffer.update_priorities(batches[0].ids, errors) == other.update_priorities(others[0].ids, errors)
        block = random_block(np.random.default_rng(round_), itertools.count(), priorities=round_ % 2 == 0)
        assert buffer.push(block) == other.push(block)


def test_saving_does_not_disturb_the_draws() -> None:
    first, second = (_played(make_buffer(), 1) for _ in range(2))
    first.get_state()
    _assert_equal(first.sample(1, 6)[0], second.sample(1, 6)[0])


def test_a_state_is_a_copy() -> None:
    buffer = _played(make_buffer(), 1)
    state = buffer.get_state()
    kept = {name: value.copy() for name, value in state.items() if isinstance(value, np.ndarray)}
    for seed in range(5):
        _played(buffer, seed)
    for name, value in kept.items():
        np.testing.assert_array_equal(state[name], value)


def test_only_rows_that_are_still_needed_are_saved() -> None:
    buffer = make_buffer(capacity=10)
    for _ in range(50):
        buffer.push(chain(4))
    assert 10 < len(buffer.get_state()["codes"]) <= 15
    assert len(make_buffer().get_state()["codes"]) == 0


def test_an_empty_memory_is_restored_empty() -> None:
    buffer = _played(make_buffer(), 2)
    buffer.set_state(make_buffer(seed=4).get_state())
    assert (len(buffer), buffer.added, buffer.turns) == (0, 0, 0)
    buffer.push(chain(3, [1.0, 2.0, 3.0]))
    assert set(buffer.sample(1, 50)[0].ids.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("capacity", [7, 64])
def test_a_memory_of_another_capacity_takes_over_the_newest(capacity: int) -> None:
    buffer = _played(make_buffer(capacity=20), 3)
    other = make_buffer(capacity=capacity)
    other.set_state(buffer.get_state())
    kept = min(capacity, len(buffer))
    assert (len(other), other.added) == (kept, buffer.added)
    state, newer = buffer.get_state(), other.get_state()
    for name in ("action", "returns", "priorities"):
        np.testing.assert_array_equal(newer[name], state[name][-kept:])
    records = dict(zip(range(state["oldest"], buffer.added), state["returns"], strict=True))
    batch = other.sample(1, 50)[0]
    assert [records[int(name)] for name in batch.ids] == batch.returns.tolist()
    rows = state["codes"][state["first"] - state["first_row"]]
    np.testing.assert_array_equal(batch.codes, rows[batch.ids - state["oldest"]])


def test_prioritized_and_uniform_memories_can_take_each_other_over() -> None:
    uniform, prioritized = _played(make_buffer(prioritized=False), 4), make_buffer()
    prioritized.set_state(uniform.get_state())
    assert prioritized.get_state()["priorities"].tolist() == [1.0] * len(uniform)
    uniform.set_state(prioritized.get_state())
    assert uniform.sample(1, 3)[0].weights.tolist() == [1.0] * 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("version", None),
        ("turns", -1),
        ("turns", "many"),
        ("oldest", 1.5),
        ("first_row", None),
        ("codes", np.zeros((3, 2, 3))),
        ("codes", np.zeros((300, 9, 9), np.uint8)),
        ("player", None),
        ("state", np.full((5, 1), np.nan, np.float32)),
        ("first", np.zeros(1, np.int64)),
        ("first", np.full(5, 10**9)),
        ("next", np.full(5, -1)),
        ("action", np.zeros(4, np.uint16)),
        ("returns", np.full(5, np.inf, np.float32)),
        ("discounts", np.zeros(5)),
        ("priorities", np.zeros(5)),
        ("priorities", np.full(5, np.nan)),
        ("priorities", np.ones(4)),
        ("random", {"bit_generator": "MT19937"}),
    ],
)
def test_a_state_that_is_not_whole_is_refused_and_nothing_is_forgotten(name: str, value: Any) -> None:
    buffer, twin = (_played(make_buffer(), 5) for _ in range(2))
    source = make_buffer()
    source.push(chain(5))
    with pytest.raises((ValueError, TypeError)):
        buffer.set_state(source.get_state() | {name: value})
    _assert_equal(buffer.sample(1, 8)[0], twin.sample(1, 8)[0])
