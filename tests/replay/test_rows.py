from __future__ import annotations

import numpy as np
import pytest

from retro_gamer.replay.transitions import ObservationRows
from tests.replay.blocks import chain


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
