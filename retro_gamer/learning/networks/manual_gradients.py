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
    torch.ops.aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)
    return gradient


def lay_tables(weights: torch.Tensor) -> torch.Tensor:
    """Return tables [T * (C + 2), F], one after the other, whose row `code` is what a cell of that code weighs.

    `weights` [T, C + 1, F] begin with the outside, whose code is the last; an empty cell, code 0, weighs nothing.
    """
    return torch.cat([torch.zeros_like(weights[:, :1]), weights[:, 1:], weights[:, :1]], dim=1).flatten(0, 1)


def take_tables(tables: torch.Tensor, into: torch.Tensor) -> None:
    """Put the gradient of tables [T * (C + 2), F] into that of the weights [T, C + 1, F] they were laid from."""
    tables = tables.view(len(into), -1, into.shape[2])
    into[:, 1:] = tables[:, 1:-1]
    into[:, 0] = tables[:, -1]


def gradient_of_rows(rows: torch.Tensor, n_rows: int, gradient: torch.Tensor) -> torch.Tensor:
    """Return the gradient [R, F] of a small table of which sums of `rows` int32 [N, K] were taken, all K different.

    It is the product of the one-hot rows, which on a small table is quicker than to add one by one.
    """
    one_hot = gradient.new_zeros(len(rows), n_rows)
    one_hot.scatter_(1, rows.long(), 1.0)
    return one_hot.t() @ gradient
