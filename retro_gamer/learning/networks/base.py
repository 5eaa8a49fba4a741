"""The Q-networks: what they have in common, how one is made, and the one that sees the board as a list of numbers.

All take numpy's codes uint8 [B, H, W], player int16 [B, 2] (x, y; -1 where there is none) and state float32 [B, S],
and return torch's Q-values float32 [B, A]. Each names the parameters that are laid out per character
(`character_axes`).
"""

from __future__ import annotations

import abc
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from retro_gamer.features.extractor import CHARACTER_STATISTICS, LOCATION_FEATURES, Features, make_extractor
from retro_gamer.features.spec import NetworkSpec

FIRST_CHANNELS = 16
CHANNELS = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class CharacterAxis:
    """Says that along `dim`, from `offset` on, entries are laid out [before, characters, after].

    What lies ahead of `offset` and behind the block belongs to no character.
    """

    dim: int
    offset: int = 0
    before: int = 1
    after: int = 1


def grow_tensor(tensor: torch.Tensor, axis: CharacterAxis, n_old: int, n_new: int) -> torch.Tensor:
    """Return `tensor` with zeros inserted for the characters n_old..n_new-1 along `axis`."""
    dim, block = axis.dim, axis.before * n_old * axis.after
    head, middle, tail = torch.split(tensor, [axis.offset, block, tensor.shape[dim] - axis.offset - block], dim=dim)
    shape = list(tensor.shape)
    split_shape = [*shape[:dim], axis.before, n_old, axis.after, *shape[dim + 1 :]]
    zero_shape = [*shape[:dim], axis.before, n_new - n_old, axis.after, *shape[dim + 1 :]]
    grown = torch.cat([middle.reshape(split_shape), tensor.new_zeros(zero_shape)], dim=dim + 1)
    grown = grown.reshape([*shape[:dim], axis.before * n_new * axis.after, *shape[dim + 1 :]])
    return torch.cat([head, grown, tail], dim=dim)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForwardPass:
    """Q-values [B, A] of the boards at both ends of B transitions, and what the gradient of the first ones needs."""

    q_tm1: torch.Tensor
    q_t: torch.Tensor
    kept: tuple[Any, ...] = ()


class QNetwork(nn.Module, abc.ABC):
    """Base of the networks: Q-values of every action for a batch of observations.

    A forward pass is `look`, `prepare` (to the device, then `arrange`) and `value`, of which only the last uses
    weights: a learner looks at a batch and prepares it once, and lets both of its networks value it. It learns by
    `value_both` and `backpropagate`, for which torch's automatic gradient serves where a network writes none itself.
    """

    has_fixed_shapes = True
    """Whether what is looked at is of the same shape for every batch of one size."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.look = make_extractor(spec)

    def prepare(self, looked: Features) -> tuple[torch.Tensor, ...]:
        """Return what was looked at as the first layer takes it, on the network's device."""
        return self.arrange(*to_device(looked, next(self.parameters()).device))

    def arrange(self, *looked: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return what was looked at, already on the network's device, as the first layer takes it."""
        return looked

    def hold(self) -> None:
        """Take the weights to stay as they are until the next call, so that what is made of them is made once."""

    def halves(self, prepared: tuple[torch.Tensor, ...]) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Return the first half of an even number of boards that were prepared, and the second."""
        first, second = zip(*(tensor.chunk(2) for tensor in prepared), strict=True)
        return first, second

    @abc.abstractmethod
    def value(self, *prepared: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A] of boards that were prepared."""

    def value_both(self, prepared: tuple[torch.Tensor, ...]) -> ForwardPass:
        """Return the values of 2 B boards that were prepared: first those at the start of each transition."""
        start, end = self.halves(prepared)
        with torch.no_grad():
            q_t = self.value(*end)
        return ForwardPass(q_tm1=self.value(*start), q_t=q_t)

    def backpropagate(self, valued: ForwardPass, gradient: torch.Tensor) -> None:
        """Set the parameters' gradients, which are there and zero, from that of `q_tm1` [B, A]."""
        valued.q_tm1.backward(gradient)

    def forward(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> torch.Tensor:
        """Return Q-values [B, A]."""
        return self.value(*self.prepare(self.look(codes, player, state)))

    @abc.abstractmethod
    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the parameters that are laid out per character, by name."""


def to_device(arrays: tuple[np.ndarray, ...], device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return arrays as tensors on a device; those that Ray shares are read-only, which torch is not."""
    return tuple(torch.from_numpy(array if array.flags.writeable else array.copy()).to(device) for array in arrays)


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor's values on the CPU, without its gradient."""
    return tensor.detach().cpu().numpy()


def linear_layers(layers: nn.Sequential) -> list[nn.Linear]:
    """Return the layers that have weights; ReLU stands between them."""
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


def make_head(n_features: int, spec: NetworkSpec) -> nn.Sequential:
    """Return the MLP of `n_layers` hidden layers from features to Q-values, or to what `duel` makes them from."""
    sizes = [n_features] + [spec.layer_size] * spec.n_layers
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], spec.n_actions + spec.dueling))


class SpatialNetwork(QNetwork):
    """Base of the two: a scene of `n_scene` features, beside it the summary of the board, and the head."""

    head: nn.Sequential
    head_layers: list[nn.Linear]
    n_scene: int

    def _add_head(self, n_scene: int) -> None:
        """Add the last part, after the layers of the scene."""
        spec = self.spec
        self.n_scene = n_scene
        self.head = make_head(
            n_scene + spec.n_characters * CHARACTER_STATISTICS + LOCATION_FEATURES + spec.n_state, spec
        )
        self.head_layers = linear_layers(self.head)

    def _finish(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A] from what the head gives."""
        return duel(outputs) if self.spec.dueling else outputs

    def _head_axis(self) -> dict[str, CharacterAxis]:
        return {"head.0.weight": CharacterAxis(dim=1, offset=self.n_scene, after=CHARACTER_STATISTICS)}


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
