"""The average of the weights over many updates, which plays steadier than the weights of any one of them.

Polyak & Juditsky 1992, with the exponential window of Izmailov et al. 2018 and of most who train by reinforcement.
"""

from __future__ import annotations

import torch

_LOOKS = 100
"""Times that the weights are looked at in one window."""
_SHARE = 8
"""A window is no longer than this part of the updates done, lest it lag behind a network that learns fast."""


class WeightAverage:
    """An exponential average of one vector over about `window` updates, or an eighth of those done if that is less."""

    def __init__(self, vector: torch.Tensor, window: int) -> None:
        self.vector = vector.detach().clone()
        self._window = window

    @torch.no_grad()
    def follow(self, vector: torch.Tensor, n_updates: int) -> None:
        """Take in `vector` as it is after `n_updates`, where it is time to look."""
        window = max(1, min(self._window, n_updates // _SHARE))
        stride = max(1, window // _LOOKS)
        if n_updates % stride == 0:
            self.vector.lerp_(vector, stride / window)
