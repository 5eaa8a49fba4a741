"""Feature extraction: what a network reads of boards before any weight is used.

It is numpy's work, not torch's: the replay service extracts the features of batches while the learner computes the
batch before, and its process does without torch. Features are kept small (uint8 codes rather than one-hot floats),
for they travel between processes and to a GPU.

All take codes uint8 [B, H, W], player int16 [B, 2] (x, y; -1 where there is none) and state float32 [B, S].
"""

from __future__ import annotations

import abc
import dataclasses
import math

import numpy as np

from retro_gamer.features.spec import NetworkSpec
from retro_gamer.replay.transitions import Batch, SampledTransitions

Features = tuple[np.ndarray, ...]
"""The arrays that one network reads; their number and types depend on its spec alone."""

KERNEL = 3
"""Cells of a convolution window, each way."""
BLOCK = 2
"""Windows of the egocentric network's second layer, each way."""
ADJACENT_RADIUS = 2
"""Cells this far from the player reach the head one by one."""
LARGEST_SIDE = 48
"""A larger board is averaged down to at most this many cells a side where there is no player."""
LARGEST_STATISTICS_BOARD = 8192
"""Where there is a player, the statistics of a board of more cells than this cover a region around the player."""
STATISTICS_RADIUS = 32
"""How far that region reaches: it bounds the work of an update."""
CHARACTER_STATISTICS = 4
"""Per character: present or not, how many (log), and the mean offset (x, y) from the player or the centre."""
LOCATION_FEATURES = 3
"""Whether there is a player, and its position (x, y)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureBatch(SampledTransitions):
    """B transitions; `features` are of 2 B boards, first those at the start of each, then those at its end."""

    features: Features


class FeatureExtractor(abc.ABC):
    """Base of the extractors: one a kind of network, each made for one spec."""

    is_bounded = False
    """Whether the statistics cover only a region of the board, because the whole is too large."""

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec = spec

    @abc.abstractmethod
    def extract(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Features:
        """Return everything that the network reads of the boards."""

    def extract_batch(self, batch: Batch) -> FeatureBatch:
        """Return the batch with features in place of boards. Both ends in one call cost less than two calls."""
        return FeatureBatch(
            features=self.extract(
                np.concatenate([batch.codes, batch.next_codes]),
                np.concatenate([batch.player, batch.next_player]),
                np.concatenate([batch.state, batch.next_state]),
            ),
            **{field.name: getattr(batch, field.name) for field in dataclasses.fields(SampledTransitions)},
        )

    def _global_features(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Return float32 [B, F]: what the head of a convolutional network reads beside its trunk's features."""
        places = locate(player, self.spec.height, self.spec.width)
        return np.concatenate([self._statistics(codes, player), places, compress(state)], axis=1)

    def _statistics(self, codes: np.ndarray, player: np.ndarray) -> np.ndarray:
        """Return float32 [B, C * CHARACTER_STATISTICS]."""
        return character_statistics(codes, player, self.spec.n_characters).reshape(len(codes), -1)


def make_extractor(spec: NetworkSpec) -> FeatureExtractor:
    """Return the extractor for the network of `spec`."""
    if not spec.spatial:
        return FlatExtractor(spec)
    return EgocentricExtractor(spec) if spec.has_player else BoardExtractor(spec)


class FlatExtractor(FeatureExtractor):
    """The one-hot board as the places of its ones, of which there are few, and the state values."""

    def extract(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Features:
        """Return the weight rows of the occupied cells int [N], where each board's begin int [B], and the state values.

        The player's position is not used.
        """
        board, y, x, code = find_cells(codes)
        rows = (y * self.spec.width + x) * self.spec.n_characters + (code - 1)
        starts = np.searchsorted(board, np.arange(len(codes)))
        return rows, starts, compress(state)


class EgocentricExtractor(FeatureExtractor):
    """The cells around the player, and the global features.

    Cells outside the board have the code n_characters + 1.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.radius = BLOCK * math.ceil(spec.crop_radius / BLOCK)
        """How many cells the crop reaches in every direction: `crop_radius`, rounded up to whole blocks."""
        windows = window_cells(self.radius, BLOCK)
        self._n_windowed = len(windows)
        cells = np.concatenate([windows, central_cells(self.radius, ADJACENT_RADIUS)])
        self._crop = Crop(spec.height, spec.width, self.radius, cells, spec.n_characters + 1)
        self.is_bounded = spec.height * spec.width > LARGEST_STATISTICS_BOARD
        if self.is_bounded:
            cells = np.arange((2 * STATISTICS_RADIUS + 1) ** 2)
            self._region = Crop(spec.height, spec.width, STATISTICS_RADIUS, cells, outside=0)

    def extract(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Features:
        """Return the codes in each window of the first layer, the codes of the adjacent cells, and global features.

        They are uint8 [B * P, KERNEL**2], uint8 [B, N] and float32 [B, F].
        """
        cells = self._crop.gather(codes, player)
        windows = cells[:, : self._n_windowed].reshape(-1, KERNEL**2)
        adjacent = np.ascontiguousarray(cells[:, self._n_windowed :])
        return windows, adjacent, self._global_features(codes, player, state)

    def _statistics(self, codes: np.ndarray, player: np.ndarray) -> np.ndarray:
        if not self.is_bounded:
            return super()._statistics(codes, player)
        side = 2 * STATISTICS_RADIUS + 1
        region = self._region.gather(codes, player).reshape(-1, side, side)
        return super()._statistics(region, np.full_like(player, STATISTICS_RADIUS))


class BoardExtractor(FeatureExtractor):
    """The whole board, averaged down to at most LARGEST_SIDE cells a side, and the global features."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.reduction = math.ceil(max(spec.height, spec.width) / LARGEST_SIDE)

    def extract(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Features:
        """Return one-hot boards float32 [B, C + 1, rows, columns], each cell a mean where reduced; global features."""
        return pool(codes, self.spec.n_characters, self.reduction), self._global_features(codes, player, state)


class Crop:
    """Gathers the cells around a centre, in any order.

    `cells` int [N] numbers those of the square of 2 * radius + 1 cells a side, row by row.
    """

    def __init__(self, height: int, width: int, radius: int, cells: np.ndarray, outside: int) -> None:
        self._radius = radius
        self._outside = outside
        self._size = (height + 2 * radius, width + 2 * radius)
        line, column = np.divmod(cells, 2 * radius + 1)
        self._offsets = line * self._size[1] + column
        self._padded = np.zeros((0, *self._size), np.uint8)

    def gather(self, codes: np.ndarray, centre: np.ndarray) -> np.ndarray:
        """Return codes uint8 [B, N] around `centre` [B, 2] (x, y).

        Cells off the board get the code `outside`, and so does every cell where the centre is (-1, -1).
        """
        n_boards, height, width = codes.shape
        radius = self._radius
        if len(self._padded) < n_boards:
            self._padded = np.full((n_boards, *self._size), self._outside, np.uint8)
        padded = self._padded[:n_boards]
        padded[:, radius : radius + height, radius : radius + width] = codes
        x, y = centre[:, 0].astype(np.intp), centre[:, 1].astype(np.intp)
        corner = np.clip(y, 0, height - 1) * self._size[1] + np.clip(x, 0, width - 1)
        corner += np.arange(n_boards) * (self._size[0] * self._size[1])
        gathered: np.ndarray = padded.reshape(-1)[corner[:, None] + self._offsets]
        absent = (x < 0) | (y < 0)
        if absent.any():
            gathered[absent] = self._outside
        return gathered


def window_cells(n_windows: int, block: int) -> np.ndarray:
    """Return int [P * 9]: the cells of each of P = n_windows ** 2 windows of 3 x 3, two apart, on a square.

    The square is just large enough, 2 * n_windows + 1 cells a side, numbered row by row. Windows come in blocks of
    `block` x `block` neighbours, block by block, so that the features of a block lie together.
    """
    side = 2 * n_windows + 1
    numbers = np.arange(side * side).reshape(side, side)
    windows = np.lib.stride_tricks.sliding_window_view(numbers, (3, 3))[::2, ::2]
    n_blocks = n_windows // block
    in_blocks = windows.reshape(n_blocks, block, n_blocks, block, 9).swapaxes(1, 2)
    return in_blocks.reshape(-1).copy()


def central_cells(radius: int, near: int) -> np.ndarray:
    """Return int [N]: the cells at most `near` from the middle of a square of 2 * radius + 1 cells a side."""
    side = 2 * radius + 1
    numbers = np.arange(side * side).reshape(side, side)
    return numbers[radius - near : radius + near + 1, radius - near : radius + near + 1].reshape(-1)


def character_statistics(codes: np.ndarray, centre: np.ndarray, n_characters: int) -> np.ndarray:
    """Return float32 [B, C, CHARACTER_STATISTICS] of the whole board, offsets counted from `centre` [B, 2] (x, y).

    Where the centre is (-1, -1) they are counted from the middle of the board. Offsets are in boards: -1..1.
    """
    n_boards, height, width = codes.shape
    board, y, x, code = find_cells(codes)
    group = board * n_characters + (code - 1)
    n_groups = n_boards * n_characters
    shape = (n_boards, n_characters)
    count = np.bincount(group, minlength=n_groups).reshape(shape)
    total_x = np.bincount(group, x, n_groups).reshape(shape)
    total_y = np.bincount(group, y, n_groups).reshape(shape)
    known = ((centre[:, 0] >= 0) & (centre[:, 1] >= 0))[:, None]
    origin = np.where(known, centre, ((width - 1) / 2, (height - 1) / 2))
    some = np.maximum(count, 1)
    statistics = np.empty((*shape, CHARACTER_STATISTICS), np.float32)
    present = statistics[:, :, 0] = np.minimum(count, 1)
    statistics[:, :, 1] = np.log1p(count) / 4
    statistics[:, :, 2] = (total_x / some - origin[:, :1]) * present / width
    statistics[:, :, 3] = (total_y / some - origin[:, 1:]) * present / height
    return statistics


def find_cells(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return board, y, x (int [N]) and code (uint8 [N]) of all N occupied cells: on most boards there are few."""
    height, width = codes.shape[1:]
    flat = codes.reshape(-1)
    cell = np.flatnonzero(flat != 0)  # numpy finds true values six times as fast as numbers that are not zero
    line, x = np.divmod(cell, width)
    board, y = np.divmod(line, height)
    return board, y, x, flat[cell]


def pool(codes: np.ndarray, n_characters: int, side: int) -> np.ndarray:
    """Return float32 [B, C + 1, rows, columns]: boards one-hot, each square of `side` cells averaged."""
    n_boards, height, width = codes.shape
    rows, columns = -(-height // side), -(-width // side)
    board, y, x, code = find_cells(codes)
    place = ((board * (n_characters + 1) + code) * rows + y // side) * columns + x // side
    counts = np.bincount(place, minlength=n_boards * (n_characters + 1) * rows * columns)
    n_lines, n_places = (np.minimum(size - np.arange(0, size, side), side) for size in (height, width))
    pooled = counts.reshape(n_boards, n_characters + 1, rows, columns) / (n_lines[:, None] * n_places)
    shares: np.ndarray = pooled.astype(np.float32)
    return shares


def locate(centre: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return float32 [B, LOCATION_FEATURES]: is there a player, and where, in boards (0..1); zeros if there is none."""
    known = ((centre[:, 0] >= 0) & (centre[:, 1] >= 0))[:, None]
    place = centre / (max(width - 1, 1), max(height - 1, 1))
    return np.concatenate([known, place * known], axis=1, dtype=np.float32)


def compress(state: np.ndarray) -> np.ndarray:
    """Return sign(s) log(1 + |s|): state values of any size, near-linear where they are small."""
    compressed: np.ndarray = np.sign(state) * np.log1p(np.abs(state))
    return compressed
