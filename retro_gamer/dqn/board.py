"""From board codes to the inputs of a network, without a weight: crops, one-hot boards, per-character summaries.

Codes are uint8 [B, H, W]: 0 is an empty or unknown cell, c is the c-th character of the set. In one-hot form an
empty cell is all zeros, channel 0 marks what lies outside the board, and channel c the c-th character.

Numpy does this, not torch: these are many small steps on few bytes, of which numpy's cost a fifth, and what is handed
to the device afterwards is smaller than the boards.
"""

from __future__ import annotations

import numpy as np

SUMMARY_FEATURES = 4
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
        seen = padded.reshape(-1)[corner[:, None] + self._offsets]
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


def summarise(codes: np.ndarray, centre: np.ndarray, n_characters: int) -> np.ndarray:
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
    features = np.empty((*shape, SUMMARY_FEATURES), np.float32)
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
    return pooled.astype(np.float32)


def locate(centre: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return float32 [B, LOCATION_FEATURES]: is there a player, and where, in boards (0..1); zeros if there is none."""
    known = ((centre[:, 0] >= 0) & (centre[:, 1] >= 0))[:, None]
    place = centre / (max(width - 1, 1), max(height - 1, 1))
    return np.concatenate([known, place * known], axis=1, dtype=np.float32)


def compress(state: np.ndarray) -> np.ndarray:
    """Return sign(s) log(1 + |s|): state values of any size, near-linear where they are small."""
    return np.sign(state) * np.log1p(np.abs(state))
