"""From board codes to the inputs of a network: one-hot crops, whole boards and per-character summaries.

Codes are uint8 [B, H, W]: 0 is an empty or unknown cell, c is the c-th character of the set. In one-hot form an
empty cell is all zeros, channel 0 marks what lies outside the board, and channel c the c-th character.
"""

from __future__ import annotations

import torch
from torch.nn import functional

SUMMARY_FEATURES = 4
"""Per character: present or not, how many (log), and the mean offset (x, y) from the player or the centre."""


def one_hot_table(n_characters: int) -> torch.Tensor:
    """Return the float table [C + 2, C + 1] whose row `code` is that code's one-hot; the last row is the outside."""
    table = torch.zeros(n_characters + 2, n_characters + 1)
    table[1 : n_characters + 1, 1:] = torch.eye(n_characters)
    table[n_characters + 1, 0] = 1.0
    return table


def crop(codes: torch.Tensor, centre: torch.Tensor, radius: int, outside: int) -> torch.Tensor:
    """Return uint8 codes [B, 2 * radius + 1, 2 * radius + 1] around `centre` [B, 2] (x, y).

    Cells off the board get the code `outside`, and so does every cell where the centre is (-1, -1).
    """
    n_boards, height, width = codes.shape
    span = torch.arange(-radius, radius + 1, device=codes.device)
    x = centre[:, :1].long() + span
    y = centre[:, 1:].long() + span
    is_column = (x >= 0) & (x < width) & (centre[:, :1] >= 0)
    is_row = (y >= 0) & (y < height) & (centre[:, 1:] >= 0)
    cells = y.clamp(0, height - 1)[:, :, None] * width + x.clamp(0, width - 1)[:, None, :]
    seen = codes.reshape(n_boards, -1).gather(1, cells.flatten(1)).view(cells.shape)
    return torch.where(is_row[:, :, None] & is_column[:, None, :], seen, outside)


def window_places(height: int, width: int, kernel: int, stride: int) -> torch.Tensor:
    """Return int64 [P * kernel * kernel]: the cells under each of a convolution's P places, padded by kernel // 2.

    Cells are numbered row by row; height * width stands for the padding.
    """
    margin = kernel // 2
    numbers = torch.arange(height * width).view(height, width)
    padded = functional.pad(numbers, (margin, margin, margin, margin), value=height * width)
    return padded.unfold(0, kernel, stride).unfold(1, kernel, stride).reshape(-1)


def summarise(codes: torch.Tensor, centre: torch.Tensor, n_characters: int) -> torch.Tensor:
    """Return float [B, C, SUMMARY_FEATURES]: what is on the whole board, seen from `centre` [B, 2] (x, y).

    Where the centre is (-1, -1) offsets are taken from the middle of the board. Offsets are in boards: -1..1.
    """
    n_boards, height, width = codes.shape
    board, y, x, code = find_cells(codes)
    group = board * n_characters + code - 1
    n_groups = n_boards * n_characters

    def total(values: torch.Tensor | None = None) -> torch.Tensor:
        return torch.bincount(group, values, n_groups).view(n_boards, n_characters).float()

    count = total()
    present = count.clamp(max=1.0)
    known = (centre[:, :1] >= 0) & (centre[:, 1:] >= 0)
    size = torch.tensor([width, height], device=codes.device, dtype=torch.float32)
    origin = torch.where(known, centre.float(), (size - 1) / 2)
    some = count.clamp(min=1.0)
    offset_x = (total(x) / some - origin[:, :1]) / width * present
    offset_y = (total(y) / some - origin[:, 1:]) / height * present
    return torch.stack([present, torch.log1p(count) / 4, offset_x, offset_y], dim=2)


def find_cells(codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return board, y, x and code, int64 [N], of all N cells that are not empty: on most boards they are few."""
    height, width = codes.shape[1:]
    flat = codes.flatten()
    cell = flat.nonzero().squeeze(1)
    line = cell // width
    board = line // height
    return board, line - board * height, cell - line * width, flat[cell].long()


def pool(codes: torch.Tensor, n_characters: int, side: int) -> torch.Tensor:
    """Return float [B, C + 1, rows, columns]: boards one-hot, each square of `side` cells averaged."""
    n_boards, height, width = codes.shape
    rows, columns = -(-height // side), -(-width // side)
    board, y, x, code = find_cells(codes)
    place = ((board * (n_characters + 1) + code) * rows + y // side) * columns + x // side
    counts = torch.bincount(place, minlength=n_boards * (n_characters + 1) * rows * columns)
    n_lines, n_places = (
        (size - torch.arange(0, size, side, device=codes.device)).clamp(max=side) for size in (height, width)
    )
    return counts.view(n_boards, n_characters + 1, rows, columns) / (n_lines[:, None] * n_places).float()


def locate(centre: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return float [B, 3]: whether there is a player, and its position in boards (0..1), zeros where there is none."""
    known = ((centre[:, :1] >= 0) & (centre[:, 1:] >= 0)).float()
    size = torch.tensor([max(width - 1, 1), max(height - 1, 1)], device=centre.device, dtype=torch.float32)
    return torch.cat([known, centre.float() / size * known], dim=1)


def compress(state: torch.Tensor) -> torch.Tensor:
    """Return sign(s) log(1 + |s|): state values of any size, near-linear where they are small."""
    return state.sign() * torch.log1p(state.abs())
