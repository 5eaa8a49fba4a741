"""What replay hands to the learner for one update."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """B transitions, each with the observations at both ends.

    codes, next_codes: [B, H, W] uint8
    player, next_player: [B, 2] int16
    state, next_state: [B, S] float32
    action: [B] int64
    returns: [B] float32
    discounts: [B] float32; where 0 the game had ended and next_* is an observation without meaning
    weights: [B] float32, importance weights, the largest of them 1
    ids: [B] int64, the records' names, by which to send priorities back
    """

    codes: npt.NDArray[np.uint8]
    player: npt.NDArray[np.int16]
    state: npt.NDArray[np.float32]
    action: npt.NDArray[np.int64]
    returns: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]
    next_codes: npt.NDArray[np.uint8]
    next_player: npt.NDArray[np.int16]
    next_state: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of transitions, B."""
        return len(self.ids)
