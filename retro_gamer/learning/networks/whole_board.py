"""BoardCNN: the network of spatial games without a player."""

from __future__ import annotations

import math

import torch
from torch import nn

from retro_gamer.features.extractor import KERNEL, BoardExtractor
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks.base import CHANNELS, FIRST_CHANNELS, CharacterAxis, ConvolutionalNetwork


class BoardCNN(ConvolutionalNetwork):
    """A CNN over the whole board, averaged down to at most LARGEST_SIDE cells a side."""

    extractor: BoardExtractor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        rows, columns = (math.ceil(size / self.extractor.reduction) for size in (spec.height, spec.width))
        self.scene, n_trunk = make_trunk(spec.n_characters + 1, rows, columns)  # the name is in every checkpoint
        self._add_head(n_trunk)

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axes: input channels of the first convolution, the statistics' columns of the head."""
        return {"scene.0.weight": CharacterAxis(dim=1, offset=1), **self._head_axis()}

    def _q_values(self, *inputs: torch.Tensor) -> torch.Tensor:
        one_hot, global_features = inputs
        return self._combine(self.head(torch.cat([self.scene(one_hot).flatten(1), global_features], dim=1)))


def make_trunk(n_channels: int, rows: int, columns: int) -> tuple[nn.Sequential, int]:
    """Return convolutions that halve the board until it is at most 8 cells a side, and how many features they give."""
    layers: list[nn.Module] = []
    n_in, n_out = n_channels, FIRST_CHANNELS
    while not layers or max(rows, columns) > 8:
        layers += [nn.Conv2d(n_in, n_out, KERNEL, stride=2, padding=KERNEL // 2), nn.ReLU()]
        rows, columns = math.ceil(rows / 2), math.ceil(columns / 2)
        n_in, n_out = n_out, CHANNELS
    return nn.Sequential(*layers), n_in * rows * columns
