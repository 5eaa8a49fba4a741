"""The network that sees the whole board."""

from __future__ import annotations

import math

import torch
from torch import nn

from retro_gamer.features.extractor import KERNEL, BoardExtractor
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks.base import CHANNELS, FIRST_CHANNELS, CharacterAxis, SpatialNetwork


class BoardCNN(SpatialNetwork):
    """A CNN over the whole board, for games without a player, reduced to at most LARGEST_SCENE cells a side."""

    look: BoardExtractor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        rows, columns = (math.ceil(size / self.look.reduction) for size in (spec.height, spec.width))
        self.scene, n_scene = _make_scene_layers(spec.n_characters + 1, rows, columns)
        self._add_head(n_scene)

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axes: input channels of the first convolution, the summary's columns of the head."""
        return {"scene.0.weight": CharacterAxis(dim=1, offset=1), **self._head_axis()}

    def value(self, *prepared: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A]."""
        one_hot, aside = prepared
        return self._finish(self.head(torch.cat([self.scene(one_hot).flatten(1), aside], dim=1)))


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
