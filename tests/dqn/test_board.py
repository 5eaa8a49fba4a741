from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from retro_gamer.dqn.board import compress, crop, locate, one_hot_table, pool, summarise, window_places

from .samples import make_boards, make_small_spec

SHAPES = [(1, 1), (2, 3), (7, 4), (16, 32)]


def boards_of(height: int, width: int, n_characters: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    spec = make_small_spec(height=height, width=width, n_characters=n_characters)
    codes, player, _ = make_boards(spec, 60, seed=height * 100 + width)
    corners = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1), (-1, -1)]
    player[: len(corners)] = corners
    return torch.from_numpy(codes), torch.from_numpy(player)


def crop_cell(codes: np.ndarray, x: int, y: int, outside: int) -> int:
    height, width = codes.shape
    return int(codes[y, x]) if 0 <= x < width and 0 <= y < height else outside


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize("radius", [1, 2, 6])
def test_crop_looks_up_every_cell(height: int, width: int, radius: int) -> None:
    codes, player = boards_of(height, width)
    found = crop(codes, player, radius, outside=5).numpy()
    assert found.shape == (60, 2 * radius + 1, 2 * radius + 1)
    for board, (x, y), seen in zip(codes.numpy(), player.tolist(), found, strict=True):
        for row in range(2 * radius + 1):
            for column in range(2 * radius + 1):
                known = x >= 0 and y >= 0
                cell = crop_cell(board, x + column - radius, y + row - radius, 5) if known else 5
                assert seen[row, column] == cell


def test_crop_takes_255_for_the_outside() -> None:
    codes = torch.full((1, 2, 2), 254, dtype=torch.uint8)
    assert crop(codes, torch.zeros(1, 2, dtype=torch.int16), 1, outside=255).tolist() == [
        [[255, 255, 255], [255, 254, 254], [255, 254, 254]]
    ]


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
    found = summarise(codes, player, 4).numpy()
    expected = [summarise_by_hand(board, x, y, 4) for board, (x, y) in zip(codes.numpy(), player.tolist(), strict=True)]
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_summarise_of_an_empty_board_is_zero() -> None:
    codes = torch.zeros(2, 3, 3, dtype=torch.uint8)
    player = torch.tensor([[1, 2], [-1, -1]], dtype=torch.int16)
    assert not summarise(codes, player, 5).any()


def test_summarise_takes_254_characters() -> None:
    codes = torch.tensor([[[254, 1]]], dtype=torch.uint8)
    found = summarise(codes, torch.tensor([[0, 0]], dtype=torch.int16), 254)
    assert torch.nonzero(found[0, :, 0]).flatten().tolist() == [0, 253]
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
    np.testing.assert_allclose(compress(torch.tensor(values)).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("n_characters", [0, 1, 5, 254])
def test_one_hot_table_has_a_channel_for_each_character_and_one_for_the_outside(n_characters: int) -> None:
    table = one_hot_table(n_characters)
    assert table.shape == (n_characters + 2, n_characters + 1)
    assert not table[0].any()
    for code in range(1, n_characters + 2):
        channel = code if code <= n_characters else 0
        assert table[code].sum() == 1
        assert table[code, channel] == 1


@pytest.mark.parametrize(("height", "width", "side"), [(1, 1, 1), (7, 4, 1), (7, 4, 3), (16, 32, 5), (2, 3, 9)])
def test_pool_averages_the_cells_of_each_square(height: int, width: int, side: int) -> None:
    codes, _ = boards_of(height, width)
    found = pool(codes, 4, side).numpy()
    assert found.shape == (60, 5, math.ceil(height / side), math.ceil(width / side))
    for board, pooled in zip(codes.numpy(), found, strict=True):
        for row, column in np.ndindex(*pooled.shape[1:]):
            square = board[row * side : (row + 1) * side, column * side : (column + 1) * side]
            assert pooled[0, row, column] == 0
            for code in range(1, 5):
                assert pooled[code, row, column] == pytest.approx((square == code).mean())


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (3, 1), (5, 2), (1, 1)])
def test_window_places_are_what_a_padded_convolution_meets(height: int, width: int, kernel: int, stride: int) -> None:
    places = window_places(height, width, kernel, stride)
    numbers = torch.arange(1.0, height * width + 1).view(1, 1, height, width)
    met = torch.nn.functional.unfold(numbers, kernel, padding=kernel // 2, stride=stride)[0].T  # 0 where it is padded
    assert ((places.view(-1, kernel**2) + 1) % (height * width + 1)).tolist() == met.tolist()
