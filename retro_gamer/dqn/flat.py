"""All parameters of a network in one vector, so that one operation clips, optimises, copies or publishes them."""

from __future__ import annotations

import torch
from torch import nn


class FlatParameters:
    """Moves a network's parameters (and gradients) into one contiguous tensor of which they become views."""

    def __init__(self, network: nn.Module) -> None:
        self._named = list(network.named_parameters())
        first = self._named[0][1]
        total = sum(parameter.numel() for _, parameter in self._named)
        self.vector = nn.Parameter(torch.empty(total, device=first.device))
        self.vector.grad = torch.zeros_like(self.vector)
        with torch.no_grad():
            for (_, parameter), place, gradient in zip(
                self._named, self.views(self.vector.data).values(), self.views(self.vector.grad).values(), strict=True
            ):
                place.copy_(parameter)
                parameter.data = place
                parameter.grad = gradient

    def views(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return `vector` (one value a parameter) as tensors shaped like the parameters, by name."""
        shapes = {name: parameter.shape for name, parameter in self._named}
        pieces = torch.split(vector, [shape.numel() for shape in shapes.values()])
        return {name: piece.view(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}

    @property
    def gradient(self) -> torch.Tensor:
        """The gradients, one value a parameter."""
        assert self.vector.grad is not None
        return self.vector.grad

    def zero_gradient(self) -> None:
        """Set every gradient to zero, in place."""
        self.gradient.zero_()


def join(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the tensors, in their order, as one vector."""
    return torch.cat([tensor.flatten() for tensor in tensors.values()])
