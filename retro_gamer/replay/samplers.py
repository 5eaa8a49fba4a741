"""A tree of sums: draws an index in proportion to its value without looking at every value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BRANCHES = 16
"""Children of a node. Wide nodes need few levels, and numpy's cost here is per level, not per number."""

ROOT_NODES = 1024
"""A level of at most this many nodes is searched whole, so no level is built above it."""

Indices = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


class SumTree:
    """Non-negative float64 values at 0 .. capacity - 1, of which one can be drawn by its share of the total.

    Every sum is recomputed from its children and none is changed by a difference: rounding errors
    do not pile up, and equal values give equal sums whatever the order in which they were set.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a sum-tree holds at least one value, not {capacity}")
        self.capacity = capacity
        # Level 0 holds the values, each level above the sums of BRANCHES neighbours of the one below.
        self._levels = [_padded(capacity)]
        while len(self._levels[-1]) > ROOT_NODES:
            self._levels.append(_padded(len(self._levels[-1]) // BRANCHES))

    @property
    def total(self) -> float:
        """The sum of all values."""
        return float(np.cumsum(self._levels[-1])[-1])

    @property
    def memory_bytes(self) -> int:
        """Bytes of all levels."""
        return sum(level.nbytes for level in self._levels)

    def get(self, indices: Indices) -> Values:
        """Return the values at `indices` [N]."""
        return self._levels[0][indices]

    def set(self, indices: Indices, values: Values) -> None:
        """Replace the values at `indices` [N]. Of an index that comes twice the last value stays.

        Raises:
            ValueError: for a value that is negative or not finite, or an index out of range; nothing is changed then.
        """
        if not len(indices):
            return
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ValueError("the values of a sum-tree are finite and not negative")
        if indices.min() < 0 or indices.max() >= self.capacity:
            raise ValueError(f"indices of this sum-tree lie in 0..{self.capacity - 1}")
        self._levels[0][indices] = values
        nodes = indices
        for below, level in zip(self._levels, self._levels[1:], strict=False):
            families = below.reshape(-1, BRANCHES)
            nodes = _parents(nodes)
            if len(nodes) < len(families):
                level[nodes] = families[nodes].sum(axis=1)
            else:
                level[: len(families)] = families.sum(axis=1)

    def sample(self, targets: Values) -> Indices:
        """Return for each target [N] in [0, total) the index whose share of the running sum holds it.

        An index whose value is 0 is never returned, not even for a target that rounding put at the total.

        Raises:
            ValueError: if every value is 0.
        """
        running = np.cumsum(self._levels[-1])
        if not running[-1] > 0:
            raise ValueError("nothing can be drawn from a sum-tree whose values are all 0")
        targets = np.minimum(targets, np.nextafter(running[-1], 0))
        nodes = np.searchsorted(running, targets, side="right")
        targets = targets - np.where(nodes > 0, running[nodes - 1], 0.0)
        each = np.arange(len(targets))
        for level in reversed(self._levels[:-1]):
            sums = np.zeros((len(targets), BRANCHES + 1))
            np.cumsum(level.reshape(-1, BRANCHES)[nodes], axis=1, out=sums[:, 1:])
            # A sum taken in another order may end a rounding error below the target.
            targets = np.minimum(targets, np.nextafter(sums[:, -1], 0))
            children = np.argmax(sums[:, 1:] > targets[:, None], axis=1)
            targets = targets - sums[each, children]
            nodes = nodes * BRANCHES + children
        return nodes


def _parents(nodes: Indices) -> Indices:
    parents = nodes // BRANCHES
    # Neighbours, as a block writes them, share parents; a full search for doubles would cost more than it saves.
    return parents[np.flatnonzero(np.diff(parents, prepend=-1))]


def _padded(size: int) -> Values:
    return np.zeros(-(-size // BRANCHES) * BRANCHES)
