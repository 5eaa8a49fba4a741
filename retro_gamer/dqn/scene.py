"""The spatial networks: one that sees the board from where the player stands, and one that sees all of it.

Both are CNNs whose features meet, in the head, a summary of the whole board and the state values.
"""

from __future__ import annotations

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
    pool,
    summarise,
    window_places,
)
from retro_gamer.dqn.characters import CharacterAxis
from retro_gamer.dqn.network import ListNetwork, Looked, QNetwork, make_head
from retro_gamer.dqn.spec import NetworkSpec

FIRST_CHANNELS = 16
CHANNELS = 32
KERNEL = 3
LARGEST_SCENE = 48
LOCATION_FEATURES = 3


def make_network(spec: NetworkSpec) -> QNetwork:
    """Return the network for `spec`, its weights drawn from torch's global generator."""
    if not spec.spatial:
        return ListNetwork(spec)
    return PlayerNetwork(spec) if spec.has_player else BoardNetwork(spec)


class SceneNetwork(QNetwork):
    """Base of the two: a scene of `n_scene` features, beside it the summary of the board, and the head."""

    head: nn.Sequential
    n_scene: int

    def _add_head(self, n_scene: int) -> None:
        """Add the last part, after the layers of the scene."""
        spec = self.spec
        self.n_scene = n_scene
        self.head = make_head(n_scene + spec.n_characters * SUMMARY_FEATURES + LOCATION_FEATURES + spec.n_state, spec)

    def _look_aside(self, codes: torch.Tensor, player: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Return float [B, F]: all that the head is told beside the scene."""
        parts = (
            summarise(codes, player, self.spec.n_characters).flatten(1),
            locate(player, self.spec.height, self.spec.width),
            compress(state),
        )
        return torch.cat(parts, dim=1)

    def _head_axis(self) -> dict[str, CharacterAxis]:
        return {"head.0.weight": CharacterAxis(dim=1, offset=self.n_scene, after=SUMMARY_FEATURES)}


class PlayerNetwork(SceneNetwork):
    """A CNN over the surroundings of the player.

    A board seen from where the player stands makes what is learned at one place hold at every other.

    The first convolution is one product of matrices: the one-hot cells under each of its places, which need no
    weights and are therefore gathered in `look`, times its kernel.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        side = 2 * spec.crop_radius + 1
        self._first_side = _halved(side)
        self.table: torch.Tensor
        self.register_buffer("table", one_hot_table(spec.n_characters), persistent=False)
        self.places: torch.Tensor
        self.register_buffer("places", window_places(side, side, KERNEL, 2), persistent=False)
        bound = 1 / math.sqrt(KERNEL**2 * (spec.n_characters + 1))
        kernel = torch.empty(FIRST_CHANNELS, KERNEL**2, spec.n_characters + 1)
        self.kernel = nn.Parameter(kernel.uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(FIRST_CHANNELS).uniform_(-bound, bound))
        self.second = nn.Conv2d(FIRST_CHANNELS, CHANNELS, KERNEL, stride=2, padding=KERNEL // 2)
        self._add_head(CHANNELS * _halved(self._first_side) ** 2)

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axes: the kernel of the first convolution, the summary's columns of the head."""
        return {"kernel": CharacterAxis(dim=2, offset=1), **self._head_axis()}

    def look(self, codes: torch.Tensor, player: torch.Tensor, state: torch.Tensor) -> Looked:
        """Return the cells under each place of the first convolution, [B * P, KERNEL**2 * (C + 1)], and the rest."""
        n_boards = codes.shape[0]
        seen = crop(codes, player, self.spec.crop_radius, outside=self.spec.n_characters + 1).flatten(1)
        padded = functional.pad(seen, (0, 1))
        windows = functional.embedding(padded[:, self.places].int(), self.table)
        return windows.view(n_boards * self._first_side**2, -1), self._look_aside(codes, player, state)

    def value(self, looked: Looked) -> torch.Tensor:
        """Return Q-values [B, A]."""
        windows, aside = looked
        first = functional.linear(windows, self.kernel.flatten(1), self.bias).relu_()
        first = first.view(-1, self._first_side, self._first_side, FIRST_CHANNELS).permute(0, 3, 1, 2)
        return self.head(torch.cat([self.second(first).relu_().flatten(1), aside], dim=1))


class BoardNetwork(SceneNetwork):
    """A CNN over the whole board, for games without a player, reduced to at most LARGEST_SCENE cells a side."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.reduction = math.ceil(max(spec.height, spec.width) / LARGEST_SCENE)
        rows, columns = (math.ceil(size / self.reduction) for size in (spec.height, spec.width))
        self.scene, n_scene = _make_scene_layers(spec.n_characters + 1, rows, columns)
        self._add_head(n_scene)

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axes: input channels of the first convolution, the summary's columns of the head."""
        return {"scene.0.weight": CharacterAxis(dim=1, offset=1), **self._head_axis()}

    def look(self, codes: torch.Tensor, player: torch.Tensor, state: torch.Tensor) -> Looked:
        """Return the board one-hot, [B, C + 1, rows, columns], each cell a mean where it is reduced, and the rest."""
        one_hot = pool(codes, self.spec.n_characters, self.reduction)
        return one_hot, self._look_aside(codes, player, state)

    def value(self, looked: Looked) -> torch.Tensor:
        """Return Q-values [B, A]."""
        one_hot, aside = looked
        return self.head(torch.cat([self.scene(one_hot).flatten(1), aside], dim=1))


def _halved(side: int) -> int:
    return math.ceil(side / 2)


def _make_scene_layers(n_channels: int, rows: int, columns: int) -> tuple[nn.Sequential, int]:
    """Return convolutions that halve the scene until it is at most 8 cells a side, and the features they give."""
    layers: list[nn.Module] = []
    n_in, n_out = n_channels, FIRST_CHANNELS
    while not layers or max(rows, columns) > 8:
        layers += [nn.Conv2d(n_in, n_out, KERNEL, stride=2, padding=KERNEL // 2), nn.ReLU()]
        rows, columns = _halved(rows), _halved(columns)
        n_in, n_out = n_out, CHANNELS
    return nn.Sequential(*layers), n_in * rows * columns
