"""The Q-networks: one that sees the board as a scene, and one that sees it as a list of numbers.

All take codes uint8 [B, H, W], player int16 [B, 2] (x, y; -1 where there is none) and state float32 [B, S], and
return Q-values float32 [B, A]. Each names the parameters that are laid out per character (`character_axes`).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from retro_gamer.dqn.board import (
    SUMMARY_FEATURES,
    compress,
    crop,
    locate,
    one_hot_table,
    summarise,
)
from retro_gamer.dqn.characters import CharacterAxis
from retro_gamer.dqn.spec import NetworkSpec

CHANNELS = 32
LARGEST_SCENE = 48
LOCATION_FEATURES = 3


class QNetwork(nn.Module):
    """Base of the networks: Q-values of every action for a batch of observations."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the parameters that are laid out per character, by name."""
        raise NotImplementedError(type(self).__name__)


def make_network(spec: NetworkSpec) -> QNetwork:
    """Return the network for `spec`, its weights drawn from torch's global generator."""
    return SceneNetwork(spec) if spec.spatial else ListNetwork(spec)


def make_head(n_features: int, spec: NetworkSpec) -> nn.Sequential:
    """Return the MLP of `n_layers` hidden layers from features to Q-values."""
    sizes = [n_features] + [spec.layer_size] * spec.n_layers
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], spec.n_actions))


class SceneNetwork(QNetwork):
    """The spatial network: a CNN over the surroundings of the player, and a summary of the whole board.

    A board seen from where the player stands makes what is learned at one place hold at every other. Games
    without a player are seen whole, reduced to at most LARGEST_SCENE cells a side.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.table: torch.Tensor
        self.register_buffer("table", one_hot_table(spec.n_characters), persistent=False)
        if spec.has_player:
            side_y = side_x = 2 * spec.crop_radius + 1
        else:
            reduction = self.reduction
            side_y, side_x = math.ceil(spec.height / reduction), math.ceil(spec.width / reduction)
        layers, n_scene = _make_scene_layers(spec.n_characters + 1, side_y, side_x)
        self.scene = layers
        self.n_scene = n_scene
        self.head = make_head(n_scene + spec.n_characters * SUMMARY_FEATURES + LOCATION_FEATURES + spec.n_state, spec)

    @property
    def reduction(self) -> int:
        """Cells of the board that make one cell of the scene, a side (1 unless the board is seen whole and large)."""
        if self.spec.has_player:
            return 1
        return math.ceil(max(self.spec.height, self.spec.width) / LARGEST_SCENE)

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axes: input channels of the first convolution, the summary's columns of the head."""
        return {
            "scene.0.weight": CharacterAxis(dim=1, offset=1),
            "head.0.weight": CharacterAxis(dim=1, offset=self.n_scene, after=SUMMARY_FEATURES),
        }

    def forward(self, codes: torch.Tensor, player: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A]."""
        features = [
            self.scene(self._look(codes, player)).flatten(1),
            summarise(codes, player, self.spec.n_characters).flatten(1),
            locate(player, self.spec.height, self.spec.width),
            compress(state),
        ]
        return self.head(torch.cat(features, dim=1))

    def _look(self, codes: torch.Tensor, player: torch.Tensor) -> torch.Tensor:
        if self.spec.has_player:
            seen = crop(codes, player, self.spec.crop_radius, outside=self.spec.n_characters + 1)
        else:
            seen = codes.long()
        one_hot = functional.embedding(seen, self.table).permute(0, 3, 1, 2)
        if self.reduction == 1:
            return one_hot
        return functional.avg_pool2d(one_hot, self.reduction, ceil_mode=True)


def _make_scene_layers(n_channels: int, side_y: int, side_x: int) -> tuple[nn.Sequential, int]:
    """Return convolutions that halve the scene until it is at most 8 cells a side, and the features they give."""
    layers: list[nn.Module] = [nn.Conv2d(n_channels, CHANNELS, 3, padding=1), nn.ReLU()]
    if max(side_y, side_x) > 2 * 8:
        layers[0] = nn.Conv2d(n_channels, CHANNELS, 3, stride=2, padding=1)
        side_y, side_x = math.ceil(side_y / 2), math.ceil(side_x / 2)
    while max(side_y, side_x) > 8:
        layers += [nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1), nn.ReLU()]
        side_y, side_x = math.ceil(side_y / 2), math.ceil(side_x / 2)
    return nn.Sequential(*layers), CHANNELS * side_y * side_x


class ListNetwork(QNetwork):
    """The non-spatial network: a plain MLP over the one-hot board, laid out [H, W, C], and the state values.

    Nearly all inputs are zero, so the first layer adds up the weight rows of the cells that are not empty.
    """

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

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axis of the first layer: its rows are laid out [H * W, C]."""
        return {"cells": CharacterAxis(dim=0, before=self.spec.height * self.spec.width)}

    def forward(self, codes: torch.Tensor, player: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A]; the player's position is not used."""
        flat = codes.flatten(1)
        board, cell = flat.nonzero(as_tuple=True)
        rows = cell * self.spec.n_characters + flat[board, cell].long() - 1
        starts = torch.searchsorted(board, torch.arange(flat.shape[0], device=flat.device))
        seen = functional.embedding_bag(rows, self.cells, starts, mode="sum")
        return self.rest(seen + compress(state) @ self.values + self.bias)
