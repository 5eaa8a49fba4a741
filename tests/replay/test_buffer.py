from __future__ import annotations

import collections
import itertools
from typing import Any

import numpy as np
import pytest

from retro_gamer.replay import buffer as buffer_module
from retro_gamer.replay.buffer import ReplayBuffer
from retro_gamer.replay.samplers import SMALLEST_ERROR
from retro_gamer.replay.transitions import Batch, Block
from tests.replay.blocks import HEIGHT, WIDTH, chain, changed, make_block, make_buffer


class TwinBuffer:
    """The memory as one would write it first: whole observations in a list, and a look at each."""

    def __init__(self, capacity: int, n_rows: int, exponent: float) -> None:
        self.capacity, self.n_rows, self.exponent = capacity, n_rows, exponent
        self.rows_written = 0
        self.turns = 0
        self.added = 0
        self.records: dict[int, dict[str, Any]] = {}

    def push(self, block: Block) -> None:
        priorities = self._priorities(block)
        for k in range(len(block)):
            i, j = int(block.first[k]), int(block.next[k])
            self.records[self.added] = {
                "lowest_row": self.rows_written + min(i, j),
                "codes": block.codes[i].copy(),
                "player": block.player[i].copy(),
                "state": block.state[i].copy(),
                "next_codes": block.codes[j].copy(),
                "next_player": block.player[j].copy(),
                "next_state": block.state[j].copy(),
                "action": int(block.action[k]),
                "returns": block.returns[k],
                "discounts": block.discounts[k],
                "priority": priorities[k],
            }
            self.added += 1
        self.rows_written += len(block.codes)
        self.turns += block.turns
        self._forget()

    def _priorities(self, block: Block) -> list[float]:
        if block.priorities is not None:
            return [self.of_error(error) for error in block.priorities]
        known = [record["priority"] for record in self.records.values()]
        return [sum(known) / len(known) if known else 1.0] * len(block)

    def of_error(self, error: float) -> float:
        return float((abs(float(error)) + SMALLEST_ERROR) ** self.exponent)

    def _forget(self) -> None:
        # From the newest back to the first that cannot stay; all older ones go with it.
        kept: dict[int, dict[str, Any]] = {}
        for name in sorted(self.records, reverse=True):
            overwritten = self.records[name]["lowest_row"] < self.rows_written - self.n_rows
            if len(kept) == self.capacity or overwritten:
                break
            kept[name] = self.records[name]
        self.records = dict(sorted(kept.items()))

    def update(self, ids: list[int], errors: list[float]) -> int:
        dropped = 0
        for name, error in zip(ids, errors, strict=True):
            if name in self.records:
                self.records[name]["priority"] = self.of_error(error)
            else:
                dropped += 1
        return dropped


def assert_batch_is_of(batch: Batch, twin: TwinBuffer) -> None:
    assert (batch.codes.dtype, batch.action.dtype, batch.ids.dtype) == tuple(
        map(np.dtype, (np.uint8, np.int64, np.int64))
    )
    assert batch.weights.dtype == batch.returns.dtype == batch.discounts.dtype == np.float32
    for k, name in enumerate(batch.ids):
        record = twin.records[int(name)]
        for field in ("codes", "player", "state", "next_codes", "next_player", "next_state"):
            np.testing.assert_array_equal(getattr(batch, field)[k], record[field])
        assert batch.action[k] == record["action"]
        assert batch.returns[k] == record["returns"]
        assert batch.discounts[k] == record["discounts"]


def assert_priorities_are_of(buffer: ReplayBuffer, twin: TwinBuffer) -> None:
    state = buffer.get_state()
    assert state["oldest"] == min(twin.records, default=twin.added)
    np.testing.assert_allclose(state["priorities"], [r["priority"] for r in twin.records.values()], rtol=1e-9)


def random_block(random: np.random.Generator, serial: itertools.count[int], priorities: bool) -> Block:
    rows = int(random.integers(1, 15))
    count = int(random.integers(0, 12))
    # Starts need not rise: several games are played in turns.
    first, next_ = random.integers(0, rows, count).tolist(), random.integers(0, rows, count).tolist()
    errors = (random.random(count) * 3).tolist() if priorities else None
    return make_block(first, next_, rows, errors, turns=int(random.integers(0, 20)), serial=serial)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("capacity", "n_rows"), [(1, 30), (7, 9), (20, 30), (20, 15), (60, 200), (5, 3)])
def test_it_agrees_with_a_naive_twin_under_random_operations(
    monkeypatch: pytest.MonkeyPatch, capacity: int, n_rows: int, seed: int
) -> None:
    monkeypatch.setattr(buffer_module, "row_capacity", lambda capacity, spare: n_rows)
    random = np.random.default_rng(100 * seed + capacity)
    buffer = make_buffer(capacity=capacity, priority_exponent=0.6, seed=seed)
    twin = TwinBuffer(capacity, n_rows, 0.6)
    serial = itertools.count()
    for _ in range(120):
        if random.random() < 0.6:
            block = random_block(random, serial, priorities=random.random() < 0.6)
            twin.push(block)
            assert buffer.push(block) == twin.turns
        else:
            ids = random.integers(max(0, twin.added - 2 * capacity), twin.added + 2, int(random.integers(0, 10)))
            errors = random.normal(size=len(ids)).astype(np.float32)
            assert buffer.update_priorities(ids, errors) == twin.update(ids.tolist(), errors.tolist())
        assert (len(buffer), buffer.added) == (len(twin.records), twin.added)
        assert_priorities_are_of(buffer, twin)
        if twin.records:
            for batch in buffer.sample(2, 5):
                assert_batch_is_of(batch, twin)


@pytest.mark.parametrize("seed", range(3))
def test_without_priorities_it_agrees_with_the_twin_too(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(buffer_module, "row_capacity", lambda capacity, spare: 25)
    random = np.random.default_rng(seed)
    buffer, twin = make_buffer(prioritized=False), TwinBuffer(20, 25, 1.0)
    serial = itertools.count()
    for _ in range(150):
        block = random_block(random, serial, priorities=random.random() < 0.5)
        twin.push(block)
        buffer.push(block)
        assert len(buffer) == len(twin.records)
        if twin.records:
            batch = buffer.sample(1, 30)[0]
            assert_batch_is_of(batch, twin)
            assert batch.weights.tolist() == [1.0] * 30


def _counts(buffer: ReplayBuffer, draws: int) -> collections.Counter[int]:
    return collections.Counter(itertools.chain.from_iterable(b.ids.tolist() for b in buffer.sample(draws, 10)))


def test_uniform_draws_hit_each_record_equally_often() -> None:
    buffer = make_buffer(prioritized=False)
    for _ in range(4):
        buffer.push(chain(8, [1.0] * 8))
    counts = _counts(buffer, 10_000)
    assert sorted(counts) == list(range(12, 32))
    assert all(abs(count / 100_000 - 0.05) < 0.004 for count in counts.values())


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0])
def test_prioritized_draws_follow_the_errors(exponent: float) -> None:
    errors = [0.0, 0.1, 0.5, 1.0, 2.0, 8.0]
    buffer = make_buffer(priority_exponent=exponent)
    buffer.push(chain(6, errors))
    raw = [(error + SMALLEST_ERROR) ** exponent for error in errors]
    counts = _counts(buffer, 20_000)
    for name, share in enumerate(raw):
        assert abs(counts[name] / 200_000 - share / sum(raw)) < 0.004


def test_updated_priorities_are_followed_from_the_next_draw_on() -> None:
    buffer = make_buffer()
    buffer.push(chain(4, [1.0, 1.0, 1.0, 1.0]))
    buffer.update_priorities(np.array([0, 1, 2, 3]), np.array([3.0, 0.0, 1.0, 0.0], np.float32))
    counts = _counts(buffer, 10_000)
    assert abs(counts[0] / 100_000 - 0.75) < 0.005
    assert abs(counts[2] / 100_000 - 0.25) < 0.005


def test_importance_weights_follow_the_formula() -> None:
    buffer = make_buffer(importance_exponent=0.4)
    buffer.push(chain(4, [1.0, 2.0, 3.0, 4.0]))
    batch = buffer.sample(1, 64)[0]
    chances = (batch.ids + 1) / 10
    expected = (4 * chances) ** -0.4
    np.testing.assert_allclose(batch.weights, expected / expected.max(), rtol=1e-5)
    assert batch.weights.max() == 1.0


def test_each_of_several_batches_has_a_largest_weight_of_one() -> None:
    buffer = make_buffer()
    buffer.push(chain(20, [0.1 + i for i in range(20)]))
    assert [batch.weights.max() for batch in buffer.sample(5, 3)] == [1.0] * 5


def test_the_priority_of_an_overwritten_record_never_reaches_the_one_in_its_place() -> None:
    buffer = make_buffer(capacity=4)
    buffer.push(chain(4, [1.0] * 4))
    batch = buffer.sample(1, 4)[0]
    assert sorted(batch.ids.tolist()) == [0, 1, 2, 3]
    buffer.push(chain(3, [1.0] * 3))
    before = buffer.get_state()["priorities"]
    assert buffer.update_priorities(np.array([0, 1, 2]), np.full(3, 99.0, np.float32)) == 3
    np.testing.assert_array_equal(buffer.get_state()["priorities"], before)
    assert buffer.update_priorities(np.array([0, 3, 6]), np.full(3, 99.0, np.float32)) == 1
    np.testing.assert_allclose(buffer.get_state()["priorities"], [99.0, 1.0, 1.0, 99.0], rtol=1e-5)


def test_ids_that_were_never_given_out_are_dropped() -> None:
    buffer = make_buffer()
    buffer.push(chain(2, [1.0, 1.0]))
    assert buffer.update_priorities(np.array([-1, 2, 1000]), np.ones(3, np.float32)) == 3


def test_of_an_id_that_comes_twice_the_last_error_counts() -> None:
    buffer = make_buffer()
    buffer.push(chain(2, [1.0, 1.0]))
    buffer.update_priorities(np.array([1, 0, 1]), np.array([5.0, 6.0, 7.0], np.float32))
    np.testing.assert_allclose(buffer.get_state()["priorities"], [6.0, 7.0], rtol=1e-5)


@pytest.mark.parametrize("error", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("prioritized", [True, False])
def test_errors_that_are_not_finite_are_refused_whole(error: float, prioritized: bool) -> None:
    buffer = make_buffer(prioritized=prioritized)
    buffer.push(chain(2, [1.0, 1.0]))
    before = buffer.get_state()["priorities"]
    # Even for a record that is gone: whoever sends it has a loss that went wrong.
    for ids in ([0, 1], [0, -5]):
        with pytest.raises(ValueError, match="finite"):
            buffer.update_priorities(np.array(ids), np.array([2.0, error], np.float32))
    np.testing.assert_array_equal(buffer.get_state()["priorities"], before)


def test_ids_and_errors_must_be_as_many() -> None:
    buffer = make_buffer()
    buffer.push(chain(2))
    with pytest.raises(ValueError, match="do not go with"):
        buffer.update_priorities(np.array([0]), np.ones(2, np.float32))


def test_records_without_a_priority_get_the_mean_and_not_the_maximum() -> None:
    buffer = make_buffer()
    buffer.push(chain(2))
    assert buffer.get_state()["priorities"].tolist() == [1.0, 1.0]
    buffer.update_priorities(np.array([0, 1]), np.array([2.0, 6.0], np.float32))
    buffer.push(chain(3))
    np.testing.assert_allclose(buffer.get_state()["priorities"], [2, 6, 4, 4, 4], rtol=1e-5)


def test_turns_are_counted_where_they_arrive_even_without_transitions() -> None:
    buffer = make_buffer()
    assert buffer.push(make_block([], [], 3, turns=5)) == 5
    assert len(buffer) == 0
    assert buffer.push(changed(chain(4), turns=2)) == 7
    assert buffer.turns == 7


def test_an_empty_memory_is_never_sampled_in_silence() -> None:
    with pytest.raises(ValueError, match="empty"):
        make_buffer().sample(1, 1)[0]


@pytest.mark.parametrize(("n_batches", "batch_size"), [(0, 1), (1, 0), (-1, 4)])
def test_sampling_nothing_is_refused(n_batches: int, batch_size: int) -> None:
    buffer = make_buffer()
    buffer.push(chain(2))
    with pytest.raises(ValueError, match="cannot sample"):
        buffer.sample(n_batches, batch_size)


@pytest.mark.parametrize("prioritized", [True, False])
def test_a_block_larger_than_the_memory_leaves_its_newest_transitions(prioritized: bool) -> None:
    buffer = make_buffer(capacity=10, prioritized=prioritized)
    buffer.push(chain(3, [1.0] * 3))
    buffer.push(chain(5000, [1.0] * 5000))
    assert (len(buffer), buffer.added, buffer.turns) == (10, 5003, 5003)
    assert set(_counts(buffer, 200)) == set(range(4993, 5003))


@pytest.mark.parametrize(
    "block",
    [
        changed(chain(2), first=np.array([0, 9], np.int32)),
        changed(chain(2, [1.0, 1.0]), priorities=np.array([1.0, np.nan], np.float32)),
        changed(chain(2), codes=np.zeros((3, 3, 2), np.uint8)),
        changed(chain(2), state=np.zeros((3, 2), np.float32)),
    ],
)
def test_of_a_block_that_is_wrong_nothing_is_kept(block: Block) -> None:
    buffer = make_buffer()
    buffer.push(chain(3, [1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match=r"block|codes|state"):
        buffer.push(block)
    assert (len(buffer), buffer.turns) == (3, 3)
    assert set(_counts(buffer, 100)) == {0, 1, 2}


def test_a_pushed_block_may_be_read_only_and_may_be_changed_afterwards() -> None:
    buffer = make_buffer(prioritized=False)
    block = chain(3)
    for field in ("codes", "player", "state", "first", "next", "action", "returns", "discounts"):
        getattr(block, field).setflags(write=False)
    buffer.push(block)
    before = buffer.sample(1, 20)[0]
    block.codes.setflags(write=True)
    block.codes[:] = 200
    assert before.codes.max() < 200
    assert buffer.sample(1, 20)[0].codes.max() < 200


def test_a_batch_is_a_copy_that_may_be_written_to() -> None:
    buffer = make_buffer(prioritized=False)
    buffer.push(chain(3))
    batch = buffer.sample(1, 20)[0]
    batch.codes[:] = 200
    batch.returns[:] = 200
    again = buffer.sample(1, 20)[0]
    assert again.codes.max() < 200
    assert again.returns.max() < 200
    assert len(batch) == 20


def test_the_same_seed_gives_the_same_draws_and_another_gives_others() -> None:
    first, second, third = (make_buffer(seed=seed) for seed in (1, 1, 2))
    for buffer in (first, second, third):
        buffer.push(chain(20, [1.0] * 20))
    ids = [np.stack([batch.ids for batch in buffer.sample(5, 7)]) for buffer in (first, second, third)]
    np.testing.assert_array_equal(ids[0], ids[1])
    assert (ids[0] != ids[2]).any()


def test_several_batches_equal_as_many_single_ones() -> None:
    many, single = make_buffer(seed=3), make_buffer(seed=3)
    for buffer in (many, single):
        buffer.push(chain(20, [float(i) for i in range(20)]))
    for batch in many.sample(4, 6):
        np.testing.assert_array_equal(batch.ids, single.sample(1, 6)[0].ids)


def test_a_snake_transition_takes_less_than_600_bytes() -> None:
    buffer = make_buffer(capacity=1_000_000, height=16, width=32, n_state=0)
    assert buffer.memory_bytes / 1_000_000 < 600


def test_the_board_of_the_blocks_here_is_that_of_the_buffers() -> None:
    assert chain(1).codes.shape == (2, HEIGHT, WIDTH)
