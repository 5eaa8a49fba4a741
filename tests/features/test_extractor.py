from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from retro_gamer.features.extractor import (
    Crop,
    character_statistics,
    compress,
    find_cells,
    locate,
    pool,
    window_cells,
)
from tests.learning.samples import make_boards, make_small_spec

SHAPES = [(1, 1), (2, 3), (7, 4), (16, 32)]


def boards_of(height: int, width: int, n_characters: int = 4) -> tuple[np.ndarray, np.ndarray]:
    spec = make_small_spec(height=height, width=width, n_characters=n_characters)
    codes, player, _ = make_boards(spec, 60, seed=height * 100 + width)
    corners = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1), (-1, -1)]
    player[: len(corners)] = corners
    return codes, player


def crop_cell(codes: np.ndarray, x: int, y: int, outside: int) -> int:
    height, width = codes.shape
    return int(codes[y, x]) if 0 <= x < width and 0 <= y < height else outside


def crop(codes: np.ndarray, centre: np.ndarray, radius: int, outside: int) -> np.ndarray:
    side = 2 * radius + 1
    places = np.arange(side * side)
    cropped = Crop(codes.shape[1], codes.shape[2], radius, places, outside)
    assert cropped.gather(codes[:1], centre[:1]).shape == (1, side * side)
    return cropped.gather(codes, centre).reshape(-1, side, side)


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize("radius", [1, 2, 6])
def test_cropped_gather_every_cell(height: int, width: int, radius: int) -> None:
    codes, player = boards_of(height, width)
    found = crop(codes, player, radius, outside=5)
    assert found.shape == (60, 2 * radius + 1, 2 * radius + 1)
    for board, (x, y), gathered in zip(codes, player.tolist(), found, strict=True):
        for row in range(2 * radius + 1):
            for column in range(2 * radius + 1):
                known = x >= 0 and y >= 0
                cell = crop_cell(board, x + column - radius, y + row - radius, 5) if known else 5
                assert gathered[row, column] == cell


def test_cropped_take_255_for_the_outside() -> None:
    codes = np.full((1, 2, 2), 254, np.uint8)
    assert crop(codes, np.zeros((1, 2), np.int16), 1, outside=255).tolist() == [
        [[255, 255, 255], [255, 254, 254], [255, 254, 254]]
    ]


def test_cropped_keep_the_order_of_places() -> None:
    codes = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3)
    cropped = Crop(3, 3, 1, np.array([8, 0, 4, 4]), outside=10)
    assert cropped.gather(codes, np.array([[1, 1]])).tolist() == [[9, 1, 5, 5]]
    assert cropped.gather(codes, np.array([[-1, -1]])).tolist() == [[10, 10, 10, 10]]
    assert cropped.gather(codes, np.array([[2, 2]])).tolist() == [[10, 5, 9, 9]]


def summarise_by_hand(board: np.ndarray, x: int, y: int, n_characters: int) -> list[list[float]]:
    height, width = board.shape
    from_x, from_y = (x, y) if x >= 0 and y >= 0 else ((width - 1) / 2, (height - 1) / 2)
    features = []
    for code in range(1, n_characters + 1):
        cells = [(cx, cy) for cy in range(height) for cx in range(width) if board[cy, cx] == code]
        if not cells:
            features.append([0.0] * 4)
            continue
        mean_x = sum(cx for cx, _ in cells) / len(cells)
        mean_y = sum(cy for _, cy in cells) / len(cells)
        offsets = [(mean_x - from_x) / width, (mean_y - from_y) / height]
        features.append([1.0, math.log(1 + len(cells)) / 4, *offsets])
    return features


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_summarise_counts_and_averages_every_character(height: int, width: int) -> None:
    codes, player = boards_of(height, width)
    found = character_statistics(codes, player, 4)
    expected = [summarise_by_hand(board, x, y, 4) for board, (x, y) in zip(codes, player.tolist(), strict=True)]
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_summarise_of_an_empty_board_is_zero() -> None:
    codes = np.zeros((2, 3, 3), np.uint8)
    player = np.array([[1, 2], [-1, -1]], np.int16)
    assert not character_statistics(codes, player, 5).any()


def test_summarise_takes_254_characters() -> None:
    codes = np.array([[[254, 1]]], np.uint8)
    found = character_statistics(codes, np.array([[0, 0]], np.int16), 254)
    assert np.flatnonzero(found[0, :, 0]).tolist() == [0, 253]
    assert found[0, 253, 2:].tolist() == [0.0, 0.0]
    assert found[0, 0, 2:].tolist() == [0.5, 0.0]


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_locate_is_presence_and_place(height: int, width: int) -> None:
    _, player = boards_of(height, width)
    for (x, y), found in zip(player.tolist(), locate(player, height, width).tolist(), strict=True):
        known = x >= 0 and y >= 0
        expected = [1.0, x / max(width - 1, 1), y / max(height - 1, 1)] if known else [0.0, 0.0, 0.0]
        assert found == pytest.approx(expected)


def test_compress_is_odd_and_logarithmic() -> None:
    values = [0.0, 1e-4, 1.0, -1.0, 1e6, -1e30]
    expected = [math.copysign(math.log1p(abs(v)), v) for v in values]
    np.testing.assert_allclose(compress(np.array(values)), expected, rtol=1e-6)


@pytest.mark.parametrize(("height", "width", "side"), [(1, 1, 1), (7, 4, 1), (7, 4, 3), (16, 32, 5), (2, 3, 9)])
def test_pool_averages_the_cells_of_each_square(height: int, width: int, side: int) -> None:
    codes, _ = boards_of(height, width)
    found = pool(codes, 4, side)
    assert found.shape == (60, 5, math.ceil(height / side), math.ceil(width / side))
    for board, pooled in zip(codes, found, strict=True):
        for row, column in np.ndindex(*pooled.shape[1:]):
            square = board[row * side : (row + 1) * side, column * side : (column + 1) * side]
            assert pooled[0, row, column] == 0
            for code in range(1, 5):
                assert pooled[code, row, column] == pytest.approx((square == code).mean())


@pytest.mark.parametrize(("n_windows", "block"), [(1, 1), (2, 1), (2, 2), (6, 2), (6, 3)])
def test_window_cells_are_what_a_convolution_meets_block_by_block(n_windows: int, block: int) -> None:
    side = 2 * n_windows + 1
    places = window_cells(n_windows, block).reshape(-1, 9)
    numbers = torch.arange(float(side * side)).view(1, 1, side, side)
    met = torch.nn.functional.unfold(numbers, 3, stride=2)[0].T.view(n_windows, n_windows, 9)
    blocks = [
        met[i : i + block, j : j + block].reshape(-1, 9)
        for i in range(0, n_windows, block)
        for j in range(0, n_windows, block)
    ]
    assert places.tolist() == torch.cat(blocks).tolist()


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_find_cells_names_each_cell_that_is_not_empty_once(height: int, width: int) -> None:
    codes, _ = boards_of(height, width)
    board, y, x, code = find_cells(codes)
    assert len(board) == np.count_nonzero(codes)
    rebuilt = np.zeros_like(codes)
    rebuilt[board, y, x] = code
    assert (rebuilt == codes).all()
