"""The Q-networks: what they have in common, how one is made, and the one that sees the board as a list of numbers.

All take numpy's codes uint8 [B, H, W], player int16 [B, 2] (x, y; -1 where there is none) and state float32 [B, S],
and return torch's Q-values float32 [B, A]. Each names the parameters that are laid out per character
(`character_axes`).
"""

from __future__ import annotations

import abc
import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from retro_gamer.features.extractor import Features, make_extractor
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks.manual_gradients import backward_layers, forward_layers, gradient_of, pass_relu


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


class FlatMLP(QNetwork):
    """The non-spatial network: a plain MLP over the one-hot board, laid out [H, W, C], and the state values.

    Nearly all inputs are zero, so the first layer adds up the weight rows of the cells that are not empty.
    """

    has_fixed_shapes = False

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        n_inputs = spec.height * spec.width * spec.n_characters
        n_out = spec.layer_size if spec.n_layers else spec.n_actions
        bound = 1 / math.sqrt(max(1, n_inputs + spec.n_state))
        self.cells = nn.Parameter(torch.empty(n_inputs, n_out).uniform_(-bound, bound))
        self.values = nn.Parameter(torch.empty(spec.n_state, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_out).uniform_(-bound, bound))
        rest: list[nn.Module] = []
        if spec.n_layers:
            rest = [nn.ReLU()]
            for _ in range(spec.n_layers - 1):
                rest += [nn.Linear(spec.layer_size, spec.layer_size), nn.ReLU()]
            rest.append(nn.Linear(spec.layer_size, spec.n_actions))
        self.rest = nn.Sequential(*rest)
        self._layers = linear_layers(self.rest)

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axis of the first layer: its rows are laid out [H * W, C]."""
        return {"cells": CharacterAxis(dim=0, before=self.spec.height * self.spec.width)}

    def halves(self, prepared: tuple[torch.Tensor, ...]) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Return the two halves of the boards: the rows of the first end where the second's begin."""
        rows, starts, state = prepared
        n_first = len(starts) // 2
        middle = int(starts[n_first])
        first = (rows[:middle], starts[:n_first], state[:n_first])
        return first, (rows[middle:], starts[n_first:] - middle, state[n_first:])

    def value(self, *prepared: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A]."""
        q: torch.Tensor = self.rest(self._first(*prepared))
        return q

    def _first(self, rows: torch.Tensor, starts: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Return what the first layer gives [B, layer_size], before its ReLU."""
        return functional.embedding_bag(rows, self.cells, starts, mode="sum") + state @ self.values + self.bias

    @torch.no_grad()
    def value_both(self, prepared: tuple[torch.Tensor, ...]) -> ForwardPass:
        """Return the values, as the base does, in one pass over both ends."""
        q = self._first(*prepared)
        inputs: list[torch.Tensor] = []
        if self._layers:
            inputs, q = forward_layers(self._layers, q.relu_())
        q_tm1, q_t = q.chunk(2)
        return ForwardPass(q_tm1=q_tm1, q_t=q_t, kept=(prepared, inputs))

    @torch.no_grad()
    def backpropagate(self, valued: ForwardPass, gradient: torch.Tensor) -> None:
        """Set the gradients, written out."""
        (rows, starts, state), inputs = valued.kept
        n_boards = len(gradient)
        if self._layers:
            gradient = pass_relu(backward_layers(self._layers, inputs, gradient), inputs[0][:n_boards])
        n_rows = starts[1 : n_boards + 1] - starts[:n_boards]
        each = gradient.repeat_interleave(n_rows, dim=0)
        # Only these rows have a gradient: a whole one, made to be added to zeros, takes three times as long.
        gradient_of(self.cells).index_add_(0, rows[: len(each)], each)
        torch.mm(state[:n_boards].t(), gradient, out=gradient_of(self.values))
        torch.sum(gradient, 0, out=gradient_of(self.bias))
