"""Adam over one flat vector of parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.optim.adam import adam

MOMENTS = ("exp_avg", "exp_avg_sq")
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class FlatAdam:
    """Kingma & Ba 2015, by torch's own fused step, without what `torch.optim.Adam` does around each of its steps.

    For one vector that takes twice as long as the step.
    """

    def __init__(self, vector: nn.Parameter, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._vector = vector
        self.moments = {name: torch.zeros_like(vector.data) for name in MOMENTS}
        """The running means of the gradient and of its square."""
        self.steps = torch.zeros((), dtype=torch.float32, device=vector.device)

    @torch.no_grad()
    def step(self) -> None:
        """Move the vector by its gradient."""
        assert self._vector.grad is not None
        adam(
            [self._vector],
            [self._vector.grad],
            [self.moments["exp_avg"]],
            [self.moments["exp_avg_sq"]],
            [],
            [self.steps],
            fused=True,
            amsgrad=False,
            beta1=BETA_1,
            beta2=BETA_2,
            lr=self.learning_rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )

    def set_state(self, steps: torch.Tensor, moments: Mapping[str, torch.Tensor]) -> None:
        """Go on after so many steps with these moments, shaped like the vector."""
        self.steps.copy_(steps)
        for name, moment in self.moments.items():
            moment.copy_(moments[name])
