from __future__ import annotations

import numpy as np
import pytest

from retro_gamer.replay.transitions import read_ring, write_ring


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
