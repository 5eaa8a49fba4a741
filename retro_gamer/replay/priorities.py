"""Which records are drawn, and what is done about the bias of drawing some of them more often.

Schaul et al., "Prioritized Experience Replay" (2016), proportional variant. New records get the
priority their actor computed (Horgan et al., "Distributed Prioritized Experience Replay", 2018) or
else the mean of the memory: the paper's maximum makes many actors train on the newest data only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retro_gamer.replay.samplers import SumTree

SMALLEST_ERROR = 1e-6
"""Added to every error, so that a record whose error is 0 can still be drawn."""


class Priorities:
    """The priorities of the slots of a memory; that of an empty slot is 0."""

    def __init__(self, capacity: int, priority_exponent: float, importance_exponent: float) -> None:
        self._tree = SumTree(capacity)
        self._priority_exponent = priority_exponent
        self._importance_exponent = importance_exponent

    @property
    def total(self) -> float:
        """The sum of all priorities."""
        return self._tree.total

    @property
    def memory_bytes(self) -> int:
        """Bytes of the sum-tree."""
        return self._tree.memory_bytes

    def of_errors(self, errors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the priorities [N] that absolute TD errors [N] give.

        Raises:
            ValueError: for an error that is not finite.
        """
        if not np.isfinite(errors).all():
            raise ValueError("the errors sent as priorities must be finite")
        return np.power(np.abs(errors.astype(np.float64)) + SMALLEST_ERROR, self._priority_exponent)

    def get(self, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the priorities at `slots` [N]."""
        return self._tree.get(slots)

    def set(self, slots: npt.NDArray[np.int64], priorities: npt.NDArray[np.float64]) -> None:
        """Replace the priorities at `slots` [N]; the last of a slot that comes twice stays."""
        self._tree.set(slots, priorities)

    def draw(self, n_batches: int, batch_size: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return slots [n_batches, batch_size] in proportion to priority.

        Each batch draws once from each of batch_size equal shares of the total, which spreads it evenly.
        """
        strata = np.arange(batch_size) + random.random((n_batches, batch_size))
        return self._tree.sample((strata * (self.total / batch_size)).reshape(-1)).reshape(n_batches, batch_size)

    def weights(self, slots: npt.NDArray[np.int64], n_records: int) -> npt.NDArray[np.float32]:
        """Return the importance weights (n_records * P)^-exponent of `slots` [n, B], the largest of each batch 1."""
        chances = self._tree.get(slots) / self.total
        weights = np.power(n_records * chances, -self._importance_exponent)
        return (weights / weights.max(axis=-1, keepdims=True)).astype(np.float32)
