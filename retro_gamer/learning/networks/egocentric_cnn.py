"""EgocentricCNN: the network of spatial games with a player."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from retro_gamer.features.extractor import ADJACENT_RADIUS, BLOCK, KERNEL, EgocentricExtractor
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks.base import (
    CHANNELS,
    FIRST_CHANNELS,
    CharacterAxis,
    ConvolutionalNetwork,
    ForwardPass,
    Tensors,
    backward_dueling,
    backward_layers,
    backward_linear,
    backward_relu,
    backward_table_sums,
    backward_tables,
    forward_layers,
    gradient_of,
    tables_of_weights,
)

ADJACENT_CHANNELS = 8


class EgocentricCNN(ConvolutionalNetwork):
    """A CNN of two layers over the cells around the player.

    With the player always in the middle, what is learned in one place holds in every other.

    The first layer has windows of 3 x 3 cells, two apart; the second takes them in blocks of 2 x 2, without overlap.
    The extractor gathers the cells of the windows block by block: then the first layer adds up rows of a table, one
    per code and place of a window, and the second is a plain product of matrices. On crops this small both together
    take half the time of torch's convolutions, with which a test compares them. The adjacent cells, where a
    move decides, also reach the head one by one, each as ADJACENT_CHANNELS features of its code.
    """

    extractor: EgocentricExtractor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        n_codes = spec.n_characters + 1
        bound = 1 / math.sqrt(KERNEL**2 * n_codes)
        self.first_rows: torch.Tensor
        first_rows = torch.arange(KERNEL**2, dtype=torch.int32) * (spec.n_characters + 2)
        self.register_buffer("first_rows", first_rows, persistent=False)
        self.kernel = nn.Parameter(torch.empty(KERNEL**2, n_codes, FIRST_CHANNELS).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(FIRST_CHANNELS).uniform_(-bound, bound))
        self.second = nn.Linear(BLOCK**2 * FIRST_CHANNELS, CHANNELS)
        self.near = nn.Linear(n_codes, ADJACENT_CHANNELS)  # for adjacent cells; the name is in every checkpoint
        self._tables: tuple[torch.Tensor, torch.Tensor] | None = None
        n_adjacent = ADJACENT_CHANNELS * (2 * ADJACENT_RADIUS + 1) ** 2
        self._n_convolved = CHANNELS * (self.extractor.radius // BLOCK) ** 2
        self._add_head(self._n_convolved + n_adjacent)

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axes: of the first layer, of the adjacent cells, and the statistics' columns of the head."""
        inputs = {"kernel": CharacterAxis(dim=1, offset=1), "near.weight": CharacterAxis(dim=1, offset=1)}
        return {**inputs, **self._head_axis()}

    @torch.no_grad()
    def cache_tables(self) -> None:
        """Make the tables now, instead of at each pass."""
        self._tables = self._make_tables()

    def _make_tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tables of the first layer, and the features of an adjacent cell of each code [C + 2, F]."""
        adjacent = (tables_of_weights(self.near.weight.t()[None]) + self.near.bias).relu_()
        return tables_of_weights(self.kernel), adjacent

    def _inputs(self, *features: torch.Tensor) -> Tensors:
        """Return the windows' rows in the tables int32 [B * P, KERNEL**2], adjacent codes int32 [B, N], and the rest.

        Each place of a window has a table of its own, one after the other.
        """
        windows, adjacent, global_features = features
        return windows.int().add_(self.first_rows), adjacent.int(), global_features

    def _q_values(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self._combine(forward_layers(self.head_layers, self._forward_trunk(*inputs)[-1])[1])

    def _forward_trunk(
        self, windows: torch.Tensor, adjacent: torch.Tensor, global_features: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Return the outputs of the two layers, the table of adjacent cells, and the head's input."""
        tables, adjacent_table = self._tables or self._make_tables()
        first = (functional.embedding_bag(windows, tables, mode="sum") + self.bias).relu_()
        blocks = first.view(-1, BLOCK**2 * FIRST_CHANNELS)
        second = functional.linear(blocks, self.second.weight, self.second.bias).relu_()
        cells = functional.embedding(adjacent, adjacent_table)
        features = torch.cat([second.view(len(global_features), -1), cells.flatten(1), global_features], dim=1)
        return first, second, adjacent_table, features

    @torch.no_grad()
    def _q_values_both(self, inputs: Tensors) -> tuple[torch.Tensor, torch.Tensor, tuple[Any, ...]]:
        """Compute both ends in one pass."""
        *layers, features = self._forward_trunk(*inputs)
        head_inputs, outputs = forward_layers(self.head_layers, features)
        q_tm1, q_t = self._combine(outputs).chunk(2)
        return q_tm1, q_t, (*inputs[:2], *layers, head_inputs)

    @torch.no_grad()
    def backward(self, passed: ForwardPass, gradient: torch.Tensor) -> None:
        """Set the gradients, written out."""
        windows, adjacent, first, second, adjacent_table, head_inputs = passed.kept
        n_boards, n_codes = len(gradient), len(adjacent_table)
        if self.spec.dueling:
            gradient = backward_dueling(gradient)
        gradient = backward_layers(self.head_layers, head_inputs, gradient)
        to_convolved, to_adjacent, _ = gradient.tensor_split((self._n_convolved, self.n_trunk), dim=1)

        to_second = backward_relu(to_convolved.reshape(-1, CHANNELS), second.chunk(2)[0])
        blocks = first.view(-1, BLOCK**2 * FIRST_CHANNELS).chunk(2)[0]
        to_first = backward_linear(self.second, blocks, to_second).view(-1, FIRST_CHANNELS)
        backward_relu(to_first, first.chunk(2)[0])
        to_tables = backward_table_sums(windows.chunk(2)[0], KERNEL**2 * n_codes, to_first)
        backward_tables(to_tables, gradient_of(self.kernel))
        torch.sum(to_first, 0, out=gradient_of(self.bias))

        cells = adjacent[:n_boards].reshape(-1, 1)
        to_table = backward_table_sums(cells, n_codes, to_adjacent.reshape(-1, ADJACENT_CHANNELS))
        backward_relu(to_table, adjacent_table)
        backward_tables(to_table, gradient_of(self.near.weight).t()[None])
        torch.sum(to_table, 0, out=gradient_of(self.near.bias))
