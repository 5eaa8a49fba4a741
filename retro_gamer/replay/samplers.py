"""How transitions are drawn: by priority, with a tree of sums, or a share of each batch from the rare ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retro_gamer.replay.transitions import TransitionRing

BRANCHES = 16
"""Children of a node. Wide nodes need few levels, and numpy's cost here is per level, not per number."""

ROOT_NODES = 1024
"""A level of at most this many nodes is searched whole, so no level is built above it."""

Indices = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


class SumTree:
    """Non-negative float64 values at 0 .. capacity - 1, drawn by their share of the total without reading all of them.

    Every sum is recomputed from its children, never adjusted by a difference: rounding errors do not
    accumulate, and equal values give equal sums in whatever order they were set. numpy has no such structure.
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
        """Replace the values at `indices` [N]. If an index comes twice, the last value stays.

        Raises:
            ValueError: for a value that is negative or not finite, or an index out of range; nothing changes then.
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
        """Return for each target [N] in [0, total) the index whose share of the running sum contains it.

        An index whose value is 0 is never returned, not even for a target that rounding puts at the total.

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
    # Neighbours, as a block writes them, share parents; a full search for duplicates would cost more than it saves.
    return parents[np.flatnonzero(np.diff(parents, prepend=-1))]


def _padded(size: int) -> Values:
    return np.zeros(-(-size // BRANCHES) * BRANCHES)


SMALLEST_ERROR = 1e-6
"""Added to every error, so that a transition whose error is 0 can still be drawn."""


class Priorities(SumTree):
    """The priorities of the slots of a replay buffer; that of an empty slot is 0 (Schaul et al. 2016, section 3.3)."""

    def __init__(self, capacity: int, priority_exponent: float, importance_exponent: float) -> None:
        super().__init__(capacity)
        self._priority_exponent = priority_exponent
        self._importance_exponent = importance_exponent

    def from_errors(self, errors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return priorities [N] from absolute TD errors [N].

        Raises:
            ValueError: for an error that is not finite.
        """
        if not np.isfinite(errors).all():
            raise ValueError("the errors sent as priorities must be finite")
        return np.power(np.abs(errors.astype(np.float64)) + SMALLEST_ERROR, self._priority_exponent)

    def draw(self, n_batches: int, batch_size: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return slots [n_batches, batch_size] in proportion to priority.

        Each batch draws once from each of batch_size equal shares of the total, which spreads it evenly.
        """
        strata = np.arange(batch_size) + random.random((n_batches, batch_size))
        return self.sample((strata * (self.total / batch_size)).reshape(-1)).reshape(n_batches, batch_size)

    def weights(self, slots: npt.NDArray[np.int64], n_records: int) -> npt.NDArray[np.float32]:
        """Return the importance weights (n_records * P)^-exponent of `slots` [n, B], the largest of each batch 1."""
        chances = self.get(slots) / self.total
        weights = np.power(n_records * chances, -self._importance_exponent)
        scaled: np.ndarray = (weights / weights.max(axis=-1, keepdims=True)).astype(np.float32)
        return scaled


WINDOW = 100_000
"""How many of the newest transitions are searched: it bounds the work for a buffer of any size."""
TAIL = 0.05
"""The share of returns that makes up each tail."""


def find_rare(returns: npt.NDArray[np.float32], discounts: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return for each of N transitions whether its game terminated within it or its return lies in a tail of all N.

    A tail begins beyond the value that one in twenty returns is below, or above: where nearly all returns are equal,
    every other return is rare.
    """
    n = len(returns)
    if not n:
        return np.zeros(0, np.bool_)
    low, high = int(TAIL * n), n - 1 - int(TAIL * n)
    ordered = np.partition(returns, (low, high))
    rare: np.ndarray = (returns < ordered[low]) | (returns > ordered[high]) | (discounts == 0)
    return rare


class RareTransitions:
    """The rare transitions among the newest of a ring, searched again once it has changed."""

    def __init__(self, ring: TransitionRing) -> None:
        self._ring = ring
        self._known: tuple[int, int] | None = None
        self._slots = np.zeros(0, np.int64)

    @property
    def slots(self) -> npt.NDArray[np.int64]:
        """Slots of the rare ones, oldest first."""
        ring = self._ring
        if self._known != (ring.oldest, ring.added):
            self._known = (ring.oldest, ring.added)
            newest = ring.slots(max(ring.oldest, ring.added - WINDOW), ring.added)
            self._slots = newest[find_rare(ring.returns[newest], ring.discounts[newest])]
        return self._slots
