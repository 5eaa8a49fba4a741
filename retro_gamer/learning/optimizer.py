"""Adam and the weight average over one flat vector of parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.optim.adam import adam

MOMENTS = ("exp_avg", "exp_avg_sq")
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
GPU_PIECES = 32
"""A GPU's fused step gives each of its hundred multiprocessors 65,536 numbers of one tensor: in pieces all work."""


class FlatAdam:
    """Kingma & Ba 2015, by torch's own fused step, without the bookkeeping of `torch.optim.Adam` around each step.

    For one vector that bookkeeping takes twice as long as the step. A test compares with `torch.optim.Adam`.
    """

    def __init__(self, vector: nn.Parameter, learning_rate: float) -> None:
        assert vector.grad is not None
        # On a GPU it is a tensor, which a recorded step reads anew; a number would be recorded with its value.
        self._rate = torch.tensor(learning_rate, device=vector.device) if vector.is_cuda else learning_rate
        self.moments = {name: torch.zeros_like(vector.data) for name in MOMENTS}
        """The running means of the gradient and of its square."""
        n_pieces = GPU_PIECES if vector.is_cuda else 1
        lists = (vector.detach(), vector.grad, *self.moments.values())
        self._pieces = [list(tensor.chunk(n_pieces)) for tensor in lists]
        self._steps = torch.zeros(len(self._pieces[0]), dtype=torch.float32, device=vector.device)

    @property
    def steps(self) -> torch.Tensor:
        """The number of steps done, float32 []."""
        return self._steps[0]

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next steps."""
        return float(self._rate)

    @learning_rate.setter
    def learning_rate(self, learning_rate: float) -> None:
        if isinstance(self._rate, torch.Tensor):
            self._rate.fill_(learning_rate)
        else:
            self._rate = learning_rate

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All that a step changes apart from the vector."""
        return [*self.moments.values(), self._steps]

    @torch.no_grad()
    def step(self, divisor: torch.Tensor | None = None, unless: torch.Tensor | None = None) -> None:
        """Do a step by the gradient over `divisor`, or none where `unless` is 1; both are numbers on the device."""
        parameters, gradients, means, squares = self._pieces
        adam(
            parameters, gradients, means, squares, [], list(self._steps.unbind()),
            lr=self._rate, beta1=BETA_1, beta2=BETA_2, eps=EPSILON, weight_decay=0.0, amsgrad=False, maximize=False,
            fused=True, grad_scale=divisor, found_inf=unless,
        )  # fmt: skip

    def set_state(self, steps: torch.Tensor, moments: Mapping[str, torch.Tensor]) -> None:
        """Continue after this many steps with these moments, shaped like the vector."""
        self._steps.fill_(steps)
        for name, moment in self.moments.items():
            moment.copy_(moments[name])


class FlatParameters:
    """Moves a network's parameters (and gradients) into one contiguous tensor of which they become views."""

    def __init__(self, network: nn.Module) -> None:
        parameters = dict(network.named_parameters())
        self._shapes = {name: parameter.shape for name, parameter in parameters.items()}
        self.vector = nn.Parameter(join(parameters).detach())
        self.vector.grad = torch.zeros_like(self.vector)
        places, gradients = self.views(self.vector.data), self.views(self.vector.grad)
        for name, parameter in parameters.items():
            parameter.data, parameter.grad = places[name], gradients[name]

    def views(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return `vector` (one value a parameter) as tensors shaped like the parameters, by name."""
        pieces = torch.split(vector, [shape.numel() for shape in self._shapes.values()])
        return {name: piece.view(shape) for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)}

    @property
    def gradient(self) -> torch.Tensor:
        """The gradients, one value a parameter."""
        assert self.vector.grad is not None
        return self.vector.grad

    def zero_gradient(self) -> None:
        """Set every gradient to zero, in place."""
        self.gradient.zero_()


def join(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return the tensors, in their order, as one vector."""
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


_READINGS = 100
"""How often the average reads the weights in one window."""
_SHARE = 8
"""A window is at most this fraction of the updates done: a longer one would lag behind a network that learns fast."""


class WeightAverage:
    """An exponential average of one vector over about `window` updates, or an eighth of those done if that is less."""

    def __init__(self, vector: torch.Tensor, window: int) -> None:
        self.vector = vector.detach().clone()
        self._window = window

    @torch.no_grad()
    def update(self, vector: torch.Tensor, n_updates: int) -> None:
        """Include `vector`, the weights after `n_updates` updates, where a reading is due."""
        window = max(1, min(self._window, n_updates // _SHARE))
        stride = max(1, window // _READINGS)
        if n_updates % stride == 0:
            self.vector.lerp_(vector, stride / window)
