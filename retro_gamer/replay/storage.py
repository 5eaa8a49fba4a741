"""The transitions of replay, first in, first out."""

from __future__ import annotations

import bisect
import dataclasses

import numpy as np
import numpy.typing as npt

from retro_gamer.replay.ring import write_ring


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transitions:
    """K transitions between rows named by their count: what `TransitionRing` takes and gives back.

    first, next: [K] int64; action: [K] uint16; returns, discounts: [K] float32
    """

    first: npt.NDArray[np.int64]
    next: npt.NDArray[np.int64]
    action: npt.NDArray[np.uint16]
    returns: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]


class TransitionRing:
    """A ring of transitions. A transition is named by the count of those ever added before it, its id.

    The oldest give way when the ring is full, and sooner if a row that they or an older one need was overwritten.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.added = 0
        self.oldest = 0
        self.first = np.zeros(capacity, np.int32)
        self.next = np.zeros(capacity, np.int32)
        self.action = np.zeros(capacity, np.uint16)
        self.returns = np.zeros(capacity, np.float32)
        self.discounts = np.zeros(capacity, np.float32)
        # The lowest row that a transition or any later one refers to: it never falls from one to the next,
        # so the last transition hurt by an overwritten row is found by bisection.
        self._lowest_row = np.zeros(capacity, np.int64)

    def __len__(self) -> int:
        """Return the number of transitions held."""
        return self.added - self.oldest

    @property
    def memory_bytes(self) -> int:
        """Bytes of all fields."""
        fields = (self.first, self.next, self.action, self.returns, self.discounts, self._lowest_row)
        return sum(field.nbytes for field in fields)

    @property
    def lowest_row(self) -> int | None:
        """The oldest row still referred to, or None if the ring is empty."""
        return self.lowest_row_from(self.oldest)

    def lowest_row_from(self, oldest: int) -> int | None:
        """Return the oldest row that `oldest` or any later transition refers to, or None if there is none."""
        return int(self._lowest_row[oldest % self.capacity]) if oldest < self.added else None

    def append(self, new: Transitions, first_places: npt.NDArray[np.int32], next_places: npt.NDArray[np.int32]) -> None:
        """Add transitions, whose rows are kept at the places given and named after all rows added before."""
        write_ring(self.first, self.added, first_places)
        write_ring(self.next, self.added, next_places)
        write_ring(self.action, self.added, new.action)
        write_ring(self.returns, self.added, new.returns)
        write_ring(self.discounts, self.added, new.discounts)
        lowest = np.minimum(new.first, new.next)
        write_ring(self._lowest_row, self.added, np.minimum.accumulate(lowest[::-1])[::-1])
        self.added += len(new.first)

    def evict(self, oldest_row: int) -> None:
        """Forget transitions that were overwritten or that need a row older than `oldest_row`."""
        within = range(max(self.oldest, self.added - self.capacity), self.added)
        lost = bisect.bisect_left(within, oldest_row, key=lambda i: int(self._lowest_row[i % self.capacity]))
        self.oldest = within.start + lost

    def slots(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Return where the ring keeps the ids start, ..., stop - 1."""
        return np.arange(start, stop, dtype=np.int64) % self.capacity

    def ids(self, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the ids kept at `slots`."""
        return self.oldest + (slots - self.oldest) % self.capacity

    def restart(self, added: int) -> None:
        """Forget all; the next transition gets the id `added`."""
        self.added = self.oldest = added
