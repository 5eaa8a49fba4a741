"""The spatial networks: one that sees the board from where the player stands, and one that sees all of it.

Both are CNNs whose features meet, in the head, a summary of the whole board and the state values.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from retro_gamer.dqn.board import (
    LOCATION_FEATURES,
    SUMMARY_FEATURES,
    Surroundings,
    central_places,
    compress,
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
BLOCK = 2
NEAR_RADIUS = 2
NEAR_CHANNELS = 8
LARGEST_SCENE = 48
LARGEST_SURVEY = 8192
"""Cells of the largest board that is summed up whole where there is a player."""
SURVEY_RADIUS = 32
"""Of a larger one, what is summed up is this far from the player: the work of an update is bounded so."""


def make_network(spec: NetworkSpec) -> QNetwork:
    """Return the network for `spec`, its weights drawn from torch's global generator."""
    if not spec.spatial:
        return ListNetwork(spec)
    return PlayerNetwork(spec) if spec.has_player else BoardNetwork(spec)


class SceneNetwork(QNetwork):
    """Base of the two: a scene of `n_scene` features, beside it the summary of the board, and the head."""

    head: nn.Sequential
    n_scene: int
    is_bounded = False
    """Whether only a region of the board is summed up, because the board is too large for its whole."""

    def _add_head(self, n_scene: int) -> None:
        """Add the last part, after the layers of the scene."""
        spec = self.spec
        self.n_scene = n_scene
        self.head = make_head(n_scene + spec.n_characters * SUMMARY_FEATURES + LOCATION_FEATURES + spec.n_state, spec)

    def _survey(self, codes: np.ndarray, player: np.ndarray) -> np.ndarray:
        """Return float32 [B, C * SUMMARY_FEATURES]: the summary of the board."""
        return summarise(codes, player, self.spec.n_characters).reshape(len(codes), -1)

    def _look_aside(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Return float32 [B, F]: all that the head is told beside the scene."""
        parts = (
            self._survey(codes, player),
            locate(player, self.spec.height, self.spec.width),
            compress(state),
        )
        return np.concatenate(parts, axis=1)

    def _head_axis(self) -> dict[str, CharacterAxis]:
        return {"head.0.weight": CharacterAxis(dim=1, offset=self.n_scene, after=SUMMARY_FEATURES)}


class PlayerNetwork(SceneNetwork):
    """A CNN of two layers over the surroundings of the player.

    A board seen from where the player stands makes what is learned at one place hold at every other.

    The first layer has windows of 3 x 3 cells, two apart; the second takes them in blocks of 2 x 2, without overlap.
    Both are then plain products of matrices, which on boards this small cost half of what a convolution does: the
    cells of the windows are gathered block by block in `look`. The cells next to the player, where a step decides,
    reach the head one by one as well, each as NEAR_CHANNELS features of what is on it.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.radius = BLOCK * math.ceil(spec.crop_radius / BLOCK)
        """Cells seen in every direction: `crop_radius`, rounded up to whole blocks."""
        self.table: torch.Tensor
        self.register_buffer("table", one_hot_table(spec.n_characters), persistent=False)
        outside = spec.n_characters + 1
        windows = window_places(self.radius, BLOCK)
        self._n_windowed = len(windows)
        places = np.concatenate([windows, central_places(self.radius, NEAR_RADIUS)])
        self._surroundings = Surroundings(spec.height, spec.width, self.radius, places, outside)
        self._region: Surroundings | None = None
        self.is_bounded = spec.height * spec.width > LARGEST_SURVEY
        if self.is_bounded:
            cells = np.arange((2 * SURVEY_RADIUS + 1) ** 2)
            self._region = Surroundings(spec.height, spec.width, SURVEY_RADIUS, cells, outside=0)
        n_codes = spec.n_characters + 1
        bound = 1 / math.sqrt(KERNEL**2 * n_codes)
        self.kernel = nn.Parameter(torch.empty(FIRST_CHANNELS, KERNEL**2, n_codes).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(FIRST_CHANNELS).uniform_(-bound, bound))
        self.second = nn.Linear(BLOCK**2 * FIRST_CHANNELS, CHANNELS)
        self.near = nn.Linear(n_codes, NEAR_CHANNELS)
        n_near = NEAR_CHANNELS * (2 * NEAR_RADIUS + 1) ** 2
        self._add_head(CHANNELS * (self.radius // BLOCK) ** 2 + n_near)

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axes: of the first layer, of the cells next to the player, the summary's columns of the head."""
        inputs = {"kernel": CharacterAxis(dim=2, offset=1), "near.weight": CharacterAxis(dim=1, offset=1)}
        return {**inputs, **self._head_axis()}

    def _survey(self, codes: np.ndarray, player: np.ndarray) -> np.ndarray:
        if self._region is None:
            return super()._survey(codes, player)
        side = 2 * SURVEY_RADIUS + 1
        region = self._region.look_up(codes, player).reshape(-1, side, side)
        return super()._survey(region, np.full_like(player, SURVEY_RADIUS))

    def look(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Looked:
        """Return the codes in each window of the first layer, int32 [B * P, KERNEL**2], those near, and what is aside.

        Near are int32 [B, N].
        """
        cells = self._surroundings.look_up(codes, player).astype(np.int32)
        windows = cells[:, : self._n_windowed].reshape(-1, KERNEL**2)
        return windows, cells[:, self._n_windowed :], self._look_aside(codes, player, state)

    def prepare(self, looked: Looked) -> tuple[torch.Tensor, ...]:
        """Return the windows one-hot, float32 [B * P, KERNEL**2 * (C + 1)], near cells [B, N, C + 1], what is aside."""
        windows, near, aside = super().prepare(looked)
        return functional.embedding(windows, self.table).flatten(1), functional.embedding(near, self.table), aside

    def value(self, *prepared: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A]."""
        windows, near, aside = prepared
        first = functional.linear(windows, self.kernel.flatten(1), self.bias).relu_()
        second = self.second(first.view(-1, BLOCK**2 * FIRST_CHANNELS)).relu_()
        nearest = self.near(near).relu_()
        return self.head(torch.cat([second.view(len(aside), -1), nearest.flatten(1), aside], dim=1))


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

    def look(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Looked:
        """Return the board one-hot, [B, C + 1, rows, columns], each cell a mean where it is reduced, and the rest."""
        return pool(codes, self.spec.n_characters, self.reduction), self._look_aside(codes, player, state)

    def value(self, *prepared: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A]."""
        one_hot, aside = prepared
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
