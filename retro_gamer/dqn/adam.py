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
        self._vector = vector
        # On a GPU it is kept there: a step that was recorded reads it, and would keep a number as it was.
        self._rate = torch.tensor(learning_rate, device=vector.device) if vector.is_cuda else learning_rate
        self.moments = {name: torch.zeros_like(vector.data) for name in MOMENTS}
        """The running means of the gradient and of its square."""
        self.steps = torch.zeros((), dtype=torch.float32, device=vector.device)

    @property
    def learning_rate(self) -> float:
        """The size of the steps to come."""
        return float(self._rate)

    @learning_rate.setter
    def learning_rate(self, learning_rate: float) -> None:
        if isinstance(self._rate, torch.Tensor):
            self._rate.fill_(learning_rate)
        else:
            self._rate = learning_rate

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All that a step changes beside the vector."""
        return [*self.moments.values(), self.steps]

    @torch.no_grad()
    def step(self, divisor: torch.Tensor | None = None, unless: torch.Tensor | None = None) -> None:
        """Move the vector by its gradient over `divisor`, and not at all where `unless` is 1: numbers on its device."""
        assert self._vector.grad is not None
        adam(
            [self._vector],
            [self._vector.grad],
            [self.moments["exp_avg"]],
            [self.moments["exp_avg_sq"]],
            [],
            [self.steps],
            fused=True,
            grad_scale=divisor,
            found_inf=unless,
            amsgrad=False,
            beta1=BETA_1,
            beta2=BETA_2,
            lr=self._rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )

    def set_state(self, steps: torch.Tensor, moments: Mapping[str, torch.Tensor]) -> None:
        """Go on after so many steps with these moments, shaped like the vector."""
        self.steps.copy_(steps)
        for name, moment in self.moments.items():
            moment.copy_(moments[name])
