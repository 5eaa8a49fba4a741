"""Forward and backward of small layers written out.

On the batches of a game most of what torch's automatic gradient takes is its own bookkeeping: written out, an update
takes a third less. Every gradient here overwrites the parameter's `grad`, and is held against the automatic one by a
test.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


def gradient_of(parameter: torch.Tensor) -> torch.Tensor:
    """Return the gradient that a parameter has."""
    assert parameter.grad is not None
    return parameter.grad


def forward_layers(layers: Sequence[nn.Linear], x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return what goes into each layer, [B, F] each, and what comes out of the last; ReLU stands between layers."""
    inputs = [x]
    for layer in layers[:-1]:
        inputs.append(functional.linear(inputs[-1], layer.weight, layer.bias).relu_())
    return inputs, functional.linear(inputs[-1], layers[-1].weight, layers[-1].bias)


def backward_layers(
    layers: Sequence[nn.Linear], inputs: Sequence[torch.Tensor], gradient: torch.Tensor
) -> torch.Tensor:
    """Set the gradients of layers for the first boards of a forward pass, as many as `gradient` has rows.

    Return the gradient of what went into the first layer.
    """
    n_boards = len(gradient)
    for i in range(len(layers) - 1, -1, -1):
        into = inputs[i][:n_boards]
        gradient = backward_linear(layers[i], into, gradient)
        if i:
            pass_relu(gradient, into)
    return gradient


def backward_linear(layer: nn.Linear, x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Set the gradients of one layer; return that of its input [B, F_in] from that of its output [B, F_out]."""
    torch.mm(gradient.t(), x, out=gradient_of(layer.weight))
    torch.sum(gradient, 0, out=gradient_of(layer.bias))
    return gradient @ layer.weight


def duel(outputs: torch.Tensor) -> torch.Tensor:
    """Return Q-values [B, A] from [B, 1 + A]: what the board is worth, and how far each action is above their mean.

    Wang et al. 2016, "Dueling Network Architectures for Deep Reinforcement Learning", equation 9.
    """
    advantages = outputs[:, 1:]
    return outputs[:, :1] + (advantages - advantages.mean(1, keepdim=True))


def backward_duel(gradient: torch.Tensor) -> torch.Tensor:
    """Return the gradient of what went into `duel` [B, 1 + A] from that of the Q-values [B, A]."""
    return torch.cat([gradient.sum(1, keepdim=True), gradient - gradient.mean(1, keepdim=True)], dim=1)


def pass_relu(gradient: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Take the gradient of a ReLU's output back to its input, in place."""
    return torch.ops.aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)
