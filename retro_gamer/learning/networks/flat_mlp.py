"""FlatMLP: the network of games that are not spatial."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks.base import (
    CharacterAxis,
    ForwardPass,
    QNetwork,
    Tensors,
    backward_layers,
    backward_relu,
    forward_layers,
    gradient_of,
    linear_layers,
    make_head,
)


class FlatMLP(QNetwork):
    """A plain MLP over the one-hot board, laid out [H, W, C], and the state values.

    Nearly all inputs are zero, so the first layer adds up the weight rows of the occupied cells.
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
        self.rest = nn.Sequential()
        if spec.n_layers:
            others = dataclasses.replace(spec, n_layers=spec.n_layers - 1, dueling=False)
            self.rest = nn.Sequential(nn.ReLU(), *make_head(spec.layer_size, others))
        self._layers = linear_layers(self.rest)

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axis of the first layer: its rows are laid out [H * W, C]."""
        return {"cells": CharacterAxis(dim=0, before=self.spec.height * self.spec.width)}

    def _split(self, inputs: Tensors) -> tuple[Tensors, Tensors]:
        rows, starts, state = inputs
        n_first = len(starts) // 2
        middle = int(starts[n_first])
        first = (rows[:middle], starts[:n_first], state[:n_first])
        return first, (rows[middle:], starts[n_first:] - middle, state[n_first:])

    def _q_values(self, *inputs: torch.Tensor) -> torch.Tensor:
        q: torch.Tensor = self.rest(self._first(*inputs))
        return q

    def _first(self, rows: torch.Tensor, starts: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Return the first layer's output [B, layer_size], before its ReLU."""
        return functional.embedding_bag(rows, self.cells, starts, mode="sum") + state @ self.values + self.bias

    @torch.no_grad()
    def _q_values_both(self, inputs: Tensors) -> tuple[torch.Tensor, torch.Tensor, tuple[Any, ...]]:
        """Compute both ends in one pass."""
        q = self._first(*inputs)
        layer_inputs: list[torch.Tensor] = []
        if self._layers:
            layer_inputs, q = forward_layers(self._layers, q.relu_())
        q_tm1, q_t = q.chunk(2)
        return q_tm1, q_t, (inputs, layer_inputs)

    @torch.no_grad()
    def backward(self, passed: ForwardPass, gradient: torch.Tensor) -> None:
        """Set the gradients, written out."""
        (rows, starts, state), layer_inputs = passed.kept
        n_boards = len(gradient)
        if self._layers:
            gradient = backward_layers(self._layers, layer_inputs, gradient)
            backward_relu(gradient, layer_inputs[0][:n_boards])
        n_rows = starts[1 : n_boards + 1] - starts[:n_boards]
        per_row = gradient.repeat_interleave(n_rows, dim=0)
        # Only these rows have a gradient: a whole one, made to be added to zeros, takes three times as long.
        gradient_of(self.cells).index_add_(0, rows[: len(per_row)], per_row)
        torch.mm(state[:n_boards].t(), gradient, out=gradient_of(self.values))
        torch.sum(gradient, 0, out=gradient_of(self.bias))
