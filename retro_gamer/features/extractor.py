"""What the networks make of boards before any weight is used, as small as it can be sent to a device.

One look a kind of network. Numpy does this, not torch: so replay can look at what it hands out while the learner, whose
time is dear, learns from the batch before, and its process does without torch.

All take codes uint8 [B, H, W], player int16 [B, 2] (x, y; -1 where there is none) and state float32 [B, S].
"""

from __future__ import annotations

import abc
import dataclasses
import math

import numpy as np
import numpy.typing as npt

from retro_gamer.features.spec import NetworkSpec
from retro_gamer.replay.transitions import Batch

CHARACTER_STATISTICS = 4
"""Per character: present or not, how many (log), and the mean offset (x, y) from the player or the centre."""

LOCATION_FEATURES = 3
"""Whether there is a player, and its position (x, y)."""


class Surroundings:
    """Looks up the cells around a centre, in an order of one's own.

    `places` int [N] numbers the cells of the square of 2 * radius + 1 cells a side, row by row.
    """

    def __init__(self, height: int, width: int, radius: int, places: np.ndarray, outside: int) -> None:
        self._radius = radius
        self._outside = outside
        self._size = (height + 2 * radius, width + 2 * radius)
        line, column = np.divmod(places, 2 * radius + 1)
        self._offsets = line * self._size[1] + column
        self._padded = np.zeros((0, *self._size), np.uint8)

    def look_up(self, codes: np.ndarray, centre: np.ndarray) -> np.ndarray:
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
        seen: np.ndarray = padded.reshape(-1)[corner[:, None] + self._offsets]
        absent = (x < 0) | (y < 0)
        if absent.any():
            seen[absent] = self._outside
        return seen


def window_places(n_windows: int, block: int) -> np.ndarray:
    """Return int [P * 9]: the cells of each of P = n_windows ** 2 windows of 3 x 3, two apart, on a square.

    The square is just large enough, 2 * n_windows + 1 cells a side, numbered row by row. Windows come in blocks of
    `block` x `block` neighbours, block by block, so that what is made of those of a block lies together.
    """
    side = 2 * n_windows + 1
    numbers = np.arange(side * side).reshape(side, side)
    windows = np.lib.stride_tricks.sliding_window_view(numbers, (3, 3))[::2, ::2]
    n_blocks = n_windows // block
    in_blocks = windows.reshape(n_blocks, block, n_blocks, block, 9).swapaxes(1, 2)
    return in_blocks.reshape(-1).copy()


def central_places(radius: int, near: int) -> np.ndarray:
    """Return int [N]: the cells of the square that is `near` cells wide around the middle of one of `radius`."""
    side = 2 * radius + 1
    numbers = np.arange(side * side).reshape(side, side)
    return numbers[radius - near : radius + near + 1, radius - near : radius + near + 1].reshape(-1)


def character_statistics(codes: np.ndarray, centre: np.ndarray, n_characters: int) -> np.ndarray:
    """Return float32 [B, C, SUMMARY_FEATURES]: what is on the whole board, seen from `centre` [B, 2] (x, y).

    Where the centre is (-1, -1) offsets are taken from the middle of the board. Offsets are in boards: -1..1.
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
    features = np.empty((*shape, CHARACTER_STATISTICS), np.float32)
    present = features[:, :, 0] = np.minimum(count, 1)
    features[:, :, 1] = np.log1p(count) / 4
    features[:, :, 2] = (total_x / some - origin[:, :1]) * present / width
    features[:, :, 3] = (total_y / some - origin[:, 1:]) * present / height
    return features


def find_cells(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return board, y, x (int [N]) and code (uint8 [N]) of all N cells that are not empty: on most boards few are."""
    height, width = codes.shape[1:]
    flat = codes.reshape(-1)
    cell = np.flatnonzero(flat != 0)  # of truth values numpy finds them six times as fast as of numbers
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


KERNEL = 3
BLOCK = 2
ADJACENT_RADIUS = 2
LARGEST_SIDE = 48
LARGEST_STATISTICS_BOARD = 8192
"""Cells of the largest board that is summed up whole where there is a player."""
STATISTICS_RADIUS = 32
"""Of a larger one, what is summed up is this far from the player: the work of an update is bounded so."""

Features = tuple[np.ndarray, ...]
"""The same for every network of one spec."""


def make_extractor(spec: NetworkSpec) -> FeatureExtractor:
    """Return the look of the network for `spec`."""
    if not spec.spatial:
        return FlatExtractor(spec)
    return EgocentricExtractor(spec) if spec.has_player else BoardExtractor(spec)


class FeatureExtractor(abc.ABC):
    """Base of the looks, each made for one spec."""

    is_bounded = False
    """Whether only a region of the board is summed up, because the board is too large for its whole."""

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec = spec

    @abc.abstractmethod
    def __call__(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Features:
        """Return all that the network takes of the boards."""

    def _look_aside(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Return float32 [B, F]: what the head of a spatial network is told beside the scene."""
        parts = (
            self._survey(codes, player),
            locate(player, self.spec.height, self.spec.width),
            compress(state),
        )
        return np.concatenate(parts, axis=1)

    def _survey(self, codes: np.ndarray, player: np.ndarray) -> np.ndarray:
        """Return float32 [B, C * SUMMARY_FEATURES]: the summary of the board."""
        return character_statistics(codes, player, self.spec.n_characters).reshape(len(codes), -1)


class FlatExtractor(FeatureExtractor):
    """The board as a list of numbers of which nearly all are zero, and the state values."""

    def __call__(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Features:
        """Return the rows of the first layer that count, where each board's begin, and the state values.

        The player's position is not used.
        """
        board, y, x, code = find_cells(codes)
        rows = (y * self.spec.width + x) * self.spec.n_characters + (code - 1)
        starts = np.searchsorted(board, np.arange(len(codes)))
        return rows, starts, compress(state)


class EgocentricExtractor(FeatureExtractor):
    """The surroundings of the player, and beside them the summary of the board and the state values.

    Cells that lie outside the board have the code n_characters + 1.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.radius = BLOCK * math.ceil(spec.crop_radius / BLOCK)
        """Cells seen in every direction: `crop_radius`, rounded up to whole blocks."""
        windows = window_places(self.radius, BLOCK)
        self._n_windowed = len(windows)
        places = np.concatenate([windows, central_places(self.radius, ADJACENT_RADIUS)])
        self._surroundings = Surroundings(spec.height, spec.width, self.radius, places, spec.n_characters + 1)
        self._region: Surroundings | None = None
        self.is_bounded = spec.height * spec.width > LARGEST_STATISTICS_BOARD
        if self.is_bounded:
            cells = np.arange((2 * STATISTICS_RADIUS + 1) ** 2)
            self._region = Surroundings(spec.height, spec.width, STATISTICS_RADIUS, cells, outside=0)

    def __call__(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Features:
        """Return the codes in each window of the first layer, those near the player, and what is aside.

        Windows are uint8 [B * P, KERNEL**2], near uint8 [B, N], aside float32 [B, F].
        """
        cells = self._surroundings.look_up(codes, player)
        windows = cells[:, : self._n_windowed].reshape(-1, KERNEL**2)
        return windows, np.ascontiguousarray(cells[:, self._n_windowed :]), self._look_aside(codes, player, state)

    def _survey(self, codes: np.ndarray, player: np.ndarray) -> np.ndarray:
        if self._region is None:
            return super()._survey(codes, player)
        side = 2 * STATISTICS_RADIUS + 1
        region = self._region.look_up(codes, player).reshape(-1, side, side)
        return super()._survey(region, np.full_like(player, STATISTICS_RADIUS))


class BoardExtractor(FeatureExtractor):
    """The whole board, reduced to at most LARGEST_SCENE cells a side, its summary and the state values."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.reduction = math.ceil(max(spec.height, spec.width) / LARGEST_SIDE)

    def __call__(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Features:
        """Return the board one-hot, [B, C + 1, rows, columns], each cell a mean where it is reduced, and the rest."""
        return pool(codes, self.spec.n_characters, self.reduction), self._look_aside(codes, player, state)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureBatch:
    """B transitions; `looked` is of 2 B boards, first those at the start of each, then those at its end.

    The other fields are those of `retro_gamer.replay.transition.Batch`.
    """

    looked: Features
    action: npt.NDArray[np.int64]
    returns: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of transitions, B."""
        return len(self.ids)


def see(batch: Batch, look: FeatureExtractor) -> FeatureBatch:
    """Return the batch looked at. Looked at in one go, both ends cost less than two looks."""
    return FeatureBatch(
        looked=look(
            np.concatenate([batch.codes, batch.next_codes]),
            np.concatenate([batch.player, batch.next_player]),
            np.concatenate([batch.state, batch.next_state]),
        ),
        action=batch.action,
        returns=batch.returns,
        discounts=batch.discounts,
        weights=batch.weights,
        ids=batch.ids,
    )
