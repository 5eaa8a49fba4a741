"""What the networks make of boards before any weight is used, as small as it can be sent to a device.

One look a kind of network. Numpy does this, not torch: so replay can look at what it hands out while the learner, whose
time is dear, learns from the batch before, and its process does without torch.

All take codes uint8 [B, H, W], player int16 [B, 2] (x, y; -1 where there is none) and state float32 [B, S].
"""

from __future__ import annotations

import abc
import math

import numpy as np

from retro_gamer.dqn.board import (
    Surroundings,
    central_places,
    compress,
    find_cells,
    locate,
    pool,
    summarise,
    window_places,
)
from retro_gamer.features.spec import NetworkSpec

KERNEL = 3
BLOCK = 2
NEAR_RADIUS = 2
LARGEST_SCENE = 48
LARGEST_SURVEY = 8192
"""Cells of the largest board that is summed up whole where there is a player."""
SURVEY_RADIUS = 32
"""Of a larger one, what is summed up is this far from the player: the work of an update is bounded so."""

Looked = tuple[np.ndarray, ...]
"""The same for every network of one spec."""


def make_look(spec: NetworkSpec) -> Look:
    """Return the look of the network for `spec`."""
    if not spec.spatial:
        return ListLook(spec)
    return PlayerLook(spec) if spec.has_player else BoardLook(spec)


class Look(abc.ABC):
    """Base of the looks, each made for one spec."""

    is_bounded = False
    """Whether only a region of the board is summed up, because the board is too large for its whole."""

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec = spec

    @abc.abstractmethod
    def __call__(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Looked:
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
        return summarise(codes, player, self.spec.n_characters).reshape(len(codes), -1)


class ListLook(Look):
    """The board as a list of numbers of which nearly all are zero, and the state values."""

    def __call__(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Looked:
        """Return the rows of the first layer that count, where each board's begin, and the state values.

        The player's position is not used.
        """
        board, y, x, code = find_cells(codes)
        rows = (y * self.spec.width + x) * self.spec.n_characters + (code - 1)
        starts = np.searchsorted(board, np.arange(len(codes)))
        return rows, starts, compress(state)


class PlayerLook(Look):
    """The surroundings of the player, and beside them the summary of the board and the state values.

    Cells that lie outside the board have the code n_characters + 1.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.radius = BLOCK * math.ceil(spec.crop_radius / BLOCK)
        """Cells seen in every direction: `crop_radius`, rounded up to whole blocks."""
        windows = window_places(self.radius, BLOCK)
        self._n_windowed = len(windows)
        places = np.concatenate([windows, central_places(self.radius, NEAR_RADIUS)])
        self._surroundings = Surroundings(spec.height, spec.width, self.radius, places, spec.n_characters + 1)
        self._region: Surroundings | None = None
        self.is_bounded = spec.height * spec.width > LARGEST_SURVEY
        if self.is_bounded:
            cells = np.arange((2 * SURVEY_RADIUS + 1) ** 2)
            self._region = Surroundings(spec.height, spec.width, SURVEY_RADIUS, cells, outside=0)

    def __call__(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Looked:
        """Return the codes in each window of the first layer, those near the player, and what is aside.

        Windows are uint8 [B * P, KERNEL**2], near uint8 [B, N], aside float32 [B, F].
        """
        cells = self._surroundings.look_up(codes, player)
        windows = cells[:, : self._n_windowed].reshape(-1, KERNEL**2)
        return windows, np.ascontiguousarray(cells[:, self._n_windowed :]), self._look_aside(codes, player, state)

    def _survey(self, codes: np.ndarray, player: np.ndarray) -> np.ndarray:
        if self._region is None:
            return super()._survey(codes, player)
        side = 2 * SURVEY_RADIUS + 1
        region = self._region.look_up(codes, player).reshape(-1, side, side)
        return super()._survey(region, np.full_like(player, SURVEY_RADIUS))


class BoardLook(Look):
    """The whole board, reduced to at most LARGEST_SCENE cells a side, its summary and the state values."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.reduction = math.ceil(max(spec.height, spec.width) / LARGEST_SCENE)

    def __call__(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Looked:
        """Return the board one-hot, [B, C + 1, rows, columns], each cell a mean where it is reduced, and the rest."""
        return pool(codes, self.spec.n_characters, self.reduction), self._look_aside(codes, player, state)
