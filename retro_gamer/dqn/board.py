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
    """Return int64 codes [B, 2 * radius + 1, 2 * radius + 1] around `centre` [B, 2] (x, y).

    Cells off the board get the code `outside`, and so does every cell where the centre is (-1, -1).
    """
    height, width = codes.shape[1:]
    padded = functional.pad(codes, (radius, radius, radius, radius), value=outside)
    span = torch.arange(2 * radius + 1, device=codes.device)
    known = (centre[:, 0] >= 0) & (centre[:, 1] >= 0)
    x = centre[:, 0].clamp(0, width - 1).long()
    y = centre[:, 1].clamp(0, height - 1).long()
    rows = y[:, None, None] + span[None, :, None]
    columns = x[:, None, None] + span[None, None, :]
    batch = torch.arange(codes.shape[0], device=codes.device)[:, None, None]
    cropped = padded[batch, rows, columns].long()
    return torch.where(known[:, None, None], cropped, outside)


def summarise(codes: torch.Tensor, centre: torch.Tensor, n_characters: int) -> torch.Tensor:
    """Return float [B, C, SUMMARY_FEATURES]: what is on the whole board, seen from `centre` [B, 2] (x, y).

    Where the centre is (-1, -1) offsets are taken from the middle of the board. Offsets are in boards: -1..1.
    """
    height, width = codes.shape[1:]
    device = codes.device
    characters = torch.arange(1, n_characters + 1, device=device, dtype=codes.dtype)
    masks = (codes[:, None] == characters[None, :, None, None]).float()
    rows, columns = masks.sum(3), masks.sum(2)
    count = rows.sum(2)
    present = count.clamp(max=1.0)
    size = torch.tensor([width, height], device=device, dtype=torch.float32)
    middle = (size - 1) / 2
    known = (centre[:, :1] >= 0) & (centre[:, 1:] >= 0)
    origin = torch.where(known, centre.float(), middle)
    mean_x = columns @ torch.arange(width, device=device, dtype=torch.float32) / count.clamp(min=1.0)
    mean_y = rows @ torch.arange(height, device=device, dtype=torch.float32) / count.clamp(min=1.0)
    offset_x = (mean_x - origin[:, :1]) / size[0] * present
    offset_y = (mean_y - origin[:, 1:]) / size[1] * present
    return torch.stack([present, torch.log1p(count) / 4, offset_x, offset_y], dim=2)


def locate(centre: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return float [B, 3]: whether there is a player, and its position in boards (0..1), zeros where there is none."""
    known = ((centre[:, :1] >= 0) & (centre[:, 1:] >= 0)).float()
    size = torch.tensor([max(width - 1, 1), max(height - 1, 1)], device=centre.device, dtype=torch.float32)
    return torch.cat([known, centre.float() / size * known], dim=1)


def compress(state: torch.Tensor) -> torch.Tensor:
    """Return sign(s) log(1 + |s|): state values of any size, near-linear where they are small."""
    return state.sign() * torch.log1p(state.abs())
