"""Writing to an array that is used as a ring."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def write_ring(ring: npt.NDArray[Any], start: int, values: npt.NDArray[Any]) -> None:
    """Write `values` to places start, start + 1, ... of `ring`, counted round and round.

    Of more values than the ring has places only the last ones stay, as if written one by one.
    """
    size = len(ring)
    surplus = max(0, len(values) - size)
    values = values[surplus:]
    place = (start + surplus) % size
    head = min(size - place, len(values))
    ring[place : place + head] = values[:head]
    ring[: len(values) - head] = values[head:]


def read_ring(ring: npt.NDArray[Any], start: int, stop: int) -> npt.NDArray[Any]:
    """Return a copy of the places start, ..., stop - 1 of `ring`, counted round and round."""
    place = start % len(ring)
    count = stop - start
    head = min(len(ring) - place, count)
    return np.concatenate([ring[place : place + head], ring[: count - head]])
