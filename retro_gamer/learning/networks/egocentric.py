"""The network that sees the board from where the player stands."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from retro_gamer.features.extractor import ADJACENT_RADIUS, BLOCK, KERNEL, EgocentricExtractor
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks.base import (
    CHANNELS,
    FIRST_CHANNELS,
    CharacterAxis,
    ForwardPass,
    SpatialNetwork,
    backward_duel,
    backward_layers,
    backward_linear,
    forward_layers,
    gradient_of,
    gradient_of_rows,
    lay_tables,
    pass_relu,
    take_tables,
)

ADJACENT_CHANNELS = 8


class EgocentricCNN(SpatialNetwork):
    """A CNN of two layers over the surroundings of the player.

    A board seen from where the player stands makes what is learned at one place hold at every other.

    The first layer has windows of 3 x 3 cells, two apart; the second takes them in blocks of 2 x 2, without overlap.
    The cells of the windows are gathered block by block when they are looked at: then the first layer adds up rows of
    a table and the second is a plain product of matrices, which on boards this small cost half of what a convolution
    does. The cells next to the player, where a step decides, reach the head one by one as well, each as NEAR_CHANNELS
    features of what is on it.
    """

    look: EgocentricExtractor

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
        self.near = nn.Linear(n_codes, ADJACENT_CHANNELS)
        self._held: tuple[torch.Tensor, torch.Tensor] | None = None
        n_near = ADJACENT_CHANNELS * (2 * ADJACENT_RADIUS + 1) ** 2
        self._n_convolved = CHANNELS * (self.look.radius // BLOCK) ** 2
        self._add_head(self._n_convolved + n_near)

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axes: of the first layer, of the cells next to the player, the summary's columns of the head."""
        inputs = {"kernel": CharacterAxis(dim=1, offset=1), "near.weight": CharacterAxis(dim=1, offset=1)}
        return {**inputs, **self._head_axis()}

    def arrange(self, *looked: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the rows of the windows int32 [B * P, KERNEL**2], those near int32 [B, N], and what is aside.

        A row names a cell's code in a table; each place of a window has a table of its own, one after the other.
        """
        windows, near, aside = looked
        return windows.int().add_(self.first_rows), near.int(), aside

    def value(self, *prepared: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A]."""
        return self._finish(forward_layers(self.head_layers, self._see(*prepared)[-1])[1])

    @torch.no_grad()
    def hold(self) -> None:
        """Make the tables now, and not again at each pass."""
        self._held = self._make_tables()

    def _make_tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tables of the first layer, and what each kind of cell near the player gives [C + 2, F]."""
        kinds = (lay_tables(self.near.weight.t()[None]) + self.near.bias).relu_()
        return lay_tables(self.kernel), kinds

    def _see(self, windows: torch.Tensor, near: torch.Tensor, aside: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return what the two layers give, what each kind of cell near the player does, and the input of the head."""
        tables, kinds = self._held or self._make_tables()
        first = (functional.embedding_bag(windows, tables, mode="sum") + self.bias).relu_()
        blocks = first.view(-1, BLOCK**2 * FIRST_CHANNELS)
        second = functional.linear(blocks, self.second.weight, self.second.bias).relu_()
        nearest = functional.embedding(near, kinds)
        seen = torch.cat([second.view(len(aside), -1), nearest.flatten(1), aside], dim=1)
        return first, second, kinds, seen

    @torch.no_grad()
    def value_both(self, prepared: tuple[torch.Tensor, ...]) -> ForwardPass:
        """Return the values, as the base does, in one pass over both ends."""
        *layers, seen = self._see(*prepared)
        inputs, outputs = forward_layers(self.head_layers, seen)
        q_tm1, q_t = self._finish(outputs).chunk(2)
        return ForwardPass(q_tm1=q_tm1, q_t=q_t, kept=(*prepared[:2], *layers, inputs))

    @torch.no_grad()
    def backpropagate(self, valued: ForwardPass, gradient: torch.Tensor) -> None:
        """Set the gradients, written out."""
        windows, near, first, second, kinds, inputs = valued.kept
        n_boards, n_kinds = len(gradient), len(kinds)
        if self.spec.dueling:
            gradient = backward_duel(gradient)
        gradient = backward_layers(self.head_layers, inputs, gradient)
        to_scene, to_near, _ = gradient.tensor_split((self._n_convolved, self.n_scene), dim=1)

        to_second = pass_relu(to_scene.reshape(-1, CHANNELS), second.chunk(2)[0])
        into = first.view(-1, BLOCK**2 * FIRST_CHANNELS).chunk(2)[0]
        to_first = backward_linear(self.second, into, to_second).view(-1, FIRST_CHANNELS)
        pass_relu(to_first, first.chunk(2)[0])
        tables = gradient_of_rows(windows.chunk(2)[0], KERNEL**2 * n_kinds, to_first)
        take_tables(tables, gradient_of(self.kernel))
        torch.sum(to_first, 0, out=gradient_of(self.bias))

        cells = near[:n_boards].reshape(-1, 1)
        to_kinds = pass_relu(gradient_of_rows(cells, n_kinds, to_near.reshape(-1, ADJACENT_CHANNELS)), kinds)
        take_tables(to_kinds, gradient_of(self.near.weight).t()[None])
        torch.sum(to_kinds, 0, out=gradient_of(self.near.bias))
