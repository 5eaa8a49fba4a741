"""A batch as the learner takes it: the boards at both ends of its transitions have been looked at."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from retro_gamer.features.extractor import Look, Looked
from retro_gamer.replay.transition import Batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeenBatch:
    """B transitions; `looked` is of 2 B boards, first those at the start of each, then those at its end.

    The other fields are those of `retro_gamer.replay.transition.Batch`.
    """

    looked: Looked
    action: npt.NDArray[np.int64]
    returns: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of transitions, B."""
        return len(self.ids)


def see(batch: Batch, look: Look) -> SeenBatch:
    """Return the batch looked at. Looked at in one go, both ends cost less than two looks."""
    return SeenBatch(
        looked=look(
            np.concatenate([batch.codes, batch.next_codes]),
            np.concatenate([batch.player, batch.next_player]),
            np.concatenate([batch.state, batch.next_state]),
        ),
        action=batch.action,
        returns=batch.returns,
        discounts=batch.discounts,
        weights=batch.weights,
        ids=batch.ids,
    )
