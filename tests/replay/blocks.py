"""Blocks for the tests of this room, in which every observation can be told from every other."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from retro_gamer.replay.buffer import ReplayBuffer
from retro_gamer.replay.transitions import Block

HEIGHT, WIDTH, N_STATE = 2, 3, 1


def make_buffer(**changed: Any) -> ReplayBuffer:
    settings: dict[str, Any] = {"capacity": 20, "height": HEIGHT, "width": WIDTH, "n_state": N_STATE, "seed": 0}
    settings |= {"prioritized": True, "priority_exponent": 1.0}
    return ReplayBuffer(**(settings | changed))


def make_block(
    first: list[int],
    next: list[int],
    rows: int,
    priorities: list[float] | None = None,
    turns: int | None = None,
    serial: itertools.count[int] | None = None,
) -> Block:
    """Return a block whose rows and transitions carry consecutive numbers of `serial` in all their fields."""
    serial = serial or itertools.count()
    names = np.array([next_of(serial) for _ in range(rows)], np.int64).reshape(rows)
    numbers = np.array([next_of(serial) for _ in first], np.int64).reshape(len(first))
    return Block(
        codes=np.stack([(names >> (8 * k)) & 255 for k in range(HEIGHT * WIDTH)], axis=1)
        .astype(np.uint8)
        .reshape(rows, HEIGHT, WIDTH),
        player=np.stack([names & 0x7FFF, names >> 15], axis=1).astype(np.int16),
        state=names.astype(np.float32).reshape(rows, N_STATE),
        first=np.array(first, np.int32),
        next=np.array(next, np.int32),
        action=(numbers % 65_536).astype(np.uint16),
        returns=numbers.astype(np.float32),
        discounts=(numbers % 7 / 7).astype(np.float32),
        priorities=None if priorities is None else np.array(priorities, np.float32),
        turns=len(first) if turns is None else turns,
    )


def next_of(serial: itertools.count[int]) -> int:
    return next(serial)


def chain(turns: int, priorities: list[float] | None = None, serial: itertools.count[int] | None = None) -> Block:
    """Return a block of one game in which each turn leads from a row to the next."""
    return make_block(list(range(turns)), list(range(1, turns + 1)), turns + 1, priorities, serial=serial)


def changed(block: Block, **fields: Any) -> Block:
    return dataclasses.replace(block, **fields)
