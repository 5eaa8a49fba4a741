"""The network that sees the board as a list of numbers."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks.base import (
    CharacterAxis,
    ForwardPass,
    QNetwork,
    backward_layers,
    forward_layers,
    gradient_of,
    linear_layers,
    pass_relu,
)


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
