from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from retro_gamer.replay.transitions import Block, ObservationRows, TransitionRing, Transitions, read_ring, write_ring
from tests.replay.blocks import chain, changed, make_block


def test_a_block_as_actors_make_it_is_valid() -> None:
    block = chain(4, [1.0, 2.0, 0.0, 4.0])
    block.check_valid()
    assert len(block) == 4


@pytest.mark.parametrize(
    "block",
    [
        make_block([], [], 0, turns=0),
        make_block([], [], 3, turns=5),
        make_block([], [], 0, [], turns=0),
        changed(chain(2), state=np.zeros((3, 0), np.float32)),
        changed(chain(2), action=np.zeros(2, np.uint8)),
    ],
)
def test_unusual_blocks_are_valid(block: Block) -> None:
    block.check_valid()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("codes", np.zeros((3, 2, 3), np.int64)),
        ("codes", np.zeros((3, 6), np.uint8)),
        ("codes", np.zeros((2, 2, 3), np.uint8)),
        ("player", np.zeros((3, 2), np.int32)),
        ("player", np.zeros((3, 3), np.int16)),
        ("state", np.zeros((3, 1), np.float64)),
        ("state", np.zeros(3, np.float32)),
        ("state", np.full((3, 1), np.nan, np.float32)),
        ("first", np.array([0, 3], np.int32)),
        ("first", np.array([-1, 0], np.int32)),
        ("first", np.array([0, 1], np.int64)),
        ("next", np.array([0, 3], np.int32)),
        ("next", np.array([0], np.int32)),
        ("action", np.zeros(2, np.int64)),
        ("action", np.zeros(1, np.uint8)),
        ("returns", np.array([1.0, np.nan], np.float32)),
        ("returns", np.array([1.0, np.inf], np.float32)),
        ("returns", np.array([1.0, 2.0])),
        ("discounts", np.array([0.0, 1.5], np.float32)),
        ("discounts", np.array([0.0, -0.5], np.float32)),
        ("discounts", np.array([0.0, np.nan], np.float32)),
        ("discounts", np.zeros((2, 1), np.float32)),
        ("priorities", np.array([1.0, np.nan], np.float32)),
        ("priorities", np.array([1.0], np.float32)),
        ("turns", -1),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any) -> None:
    block = changed(chain(2, [1.0, 1.0]), **{field: value})
    # A wrong number of rows shows in the next field that has one for each.
    named = "player" if field == "codes" and value.shape == (2, 2, 3) else field
    with pytest.raises(ValueError, match=rf"block\.{named} must be"):
        block.check_valid()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_writing_many_equals_writing_one_by_one(size: int) -> None:
    for start in range(2 * size + 1):
        for count in range(3 * size + 1):
            ring, twin = np.full((size, 2), -1), np.full((size, 2), -1)
            values = np.arange(2 * count).reshape(count, 2)
            write_ring(ring, start, values)
            for offset, value in enumerate(values):
                twin[(start + offset) % size] = value
            assert ring.tolist() == twin.tolist()


def test_what_was_written_is_read_back_in_order() -> None:
    for start in range(9):
        for count in range(5):
            ring = np.zeros(4)
            write_ring(ring, start, np.arange(count) + 10.0)
            assert read_ring(ring, start, start + count).tolist() == [10.0 + i for i in range(count)]


def test_reading_gives_a_copy() -> None:
    ring = np.zeros(3)
    read_ring(ring, 0, 3)[:] = 7
    assert ring.tolist() == [0, 0, 0]


def test_rows_are_found_by_name_until_they_are_overwritten() -> None:
    rows = ObservationRows(10, 2, 3, 1)
    block = chain(6)
    names = [rows.append(block.codes, block.player, block.state) for _ in range(4)]
    assert names == [0, 7, 14, 21]
    assert rows.written == 28
    assert rows.oldest == 18
    held = np.arange(18, 28)
    codes, player, state = rows.take(rows.places(held))
    np.testing.assert_array_equal(codes, block.codes[held % 7])
    np.testing.assert_array_equal(player, block.player[held % 7])
    np.testing.assert_array_equal(state, block.state[held % 7])
    np.testing.assert_array_equal(rows.names(rows.places(held)), held)


def test_a_range_is_read_across_the_seam() -> None:
    rows = ObservationRows(10, 2, 3, 1)
    block = chain(6)
    for _ in range(4):
        rows.append(block.codes, block.player, block.state)
    codes, player, state = rows.read(19, 26)
    held = np.arange(19, 26) % 7
    np.testing.assert_array_equal(codes, block.codes[held])
    np.testing.assert_array_equal(player, block.player[held])
    np.testing.assert_array_equal(state, block.state[held])


def test_rows_of_another_board_are_refused_and_not_written() -> None:
    rows = ObservationRows(10, 2, 3, 1)
    block = chain(2)
    with pytest.raises(ValueError, match="codes"):
        rows.append(np.zeros((3, 3, 2), np.uint8), block.player, block.state)
    with pytest.raises(ValueError, match="state"):
        rows.append(block.codes, block.player, np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="player"):
        rows.append(block.codes, block.player[:2], block.state)
    assert rows.written == 0
    assert not rows.codes.any()


def test_its_bytes_are_those_of_a_cell_each() -> None:
    assert ObservationRows(100, 16, 32, 2).memory_bytes == 100 * (16 * 32 + 4 + 8)


def _append(ring: TransitionRing, first: list[int], next: list[int]) -> None:
    count = len(first)
    new = Transitions(
        first=np.array(first, np.int64),
        next=np.array(next, np.int64),
        action=np.arange(count, dtype=np.uint16),
        returns=np.arange(count, dtype=np.float32),
        discounts=np.zeros(count, np.float32),
    )
    ring.append(new, new.first.astype(np.int32), new.next.astype(np.int32))


def test_the_oldest_give_way_when_it_is_full() -> None:
    ring = TransitionRing(5)
    _append(ring, [0, 1, 2], [1, 2, 3])
    _append(ring, [4, 5, 6], [5, 6, 7])
    ring.evict(oldest_row=0)
    assert (len(ring), ring.oldest, ring.added, ring.lowest_row_from(ring.oldest)) == (5, 1, 6, 1)
    assert ring.ids(ring.slots(1, 6)).tolist() == [1, 2, 3, 4, 5]


def test_more_than_it_holds_leaves_the_last() -> None:
    ring = TransitionRing(3)
    _append(ring, list(range(8)), list(range(1, 9)))
    ring.evict(oldest_row=0)
    assert (len(ring), ring.oldest, ring.lowest_row_from(ring.oldest)) == (3, 5, 5)
    assert ring.first[ring.slots(5, 8)].tolist() == [5, 6, 7]


def test_an_overwritten_row_takes_along_every_transition_up_to_the_last_that_needs_it() -> None:
    ring = TransitionRing(10)
    # Two games in turns: the transition of row 0 that comes third keeps the older two from staying.
    _append(ring, [4, 5, 0, 6], [5, 6, 1, 7])
    ring.evict(oldest_row=0)
    assert len(ring) == 4
    ring.evict(oldest_row=1)
    assert (ring.oldest, len(ring), ring.lowest_row_from(ring.oldest)) == (3, 1, 6)
    ring.evict(oldest_row=7)
    assert (len(ring), ring.lowest_row_from(ring.oldest)) == (0, None)


def test_after_a_restart_ids_go_on_from_there() -> None:
    ring = TransitionRing(4)
    _append(ring, [0], [1])
    ring.restart(100)
    assert len(ring) == 0
    _append(ring, [2, 3], [3, 4])
    ring.evict(oldest_row=0)
    assert (ring.oldest, ring.added) == (100, 102)
