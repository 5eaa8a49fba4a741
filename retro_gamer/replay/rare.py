"""Which experiences are rare: the ends of games, and returns that few others have."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retro_gamer.replay.storage import TransitionRing

WINDOW = 100_000
"""Only the newest are looked through, so that the work is bounded for a memory of any size."""
TAIL = 0.05


def find_rare(returns: npt.NDArray[np.float32], discounts: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return for each of N transitions whether its game ended within it or its return lies in a tail of all N.

    A tail begins beyond the value that one in twenty is below, or above: of returns that are nearly all alike, every
    other one is rare.
    """
    n = len(returns)
    if not n:
        return np.zeros(0, np.bool_)
    low, high = int(TAIL * n), n - 1 - int(TAIL * n)
    ordered = np.partition(returns, (low, high))
    return (returns < ordered[low]) | (returns > ordered[high]) | (discounts == 0)


class RareExperiences:
    """The rare ones among the newest of a ring, found anew once it has changed: what is held decides, nothing else."""

    def __init__(self, ring: TransitionRing) -> None:
        self._ring = ring
        self._known: tuple[int, int] | None = None
        self._slots = np.zeros(0, np.int64)

    @property
    def slots(self) -> npt.NDArray[np.int64]:
        """Where the ring keeps the rare ones, oldest first."""
        ring = self._ring
        if self._known != (ring.oldest, ring.added):
            self._known = (ring.oldest, ring.added)
            newest = ring.slots(max(ring.oldest, ring.added - WINDOW), ring.added)
            self._slots = newest[find_rare(ring.returns[newest], ring.discounts[newest])]
        return self._slots
