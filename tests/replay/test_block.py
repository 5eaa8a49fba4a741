from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from retro_gamer.replay.transitions import Block
from tests.replay.blocks import chain, changed, make_block


def test_a_block_as_actors_make_it_is_valid() -> None:
    block = chain(4, [1.0, 2.0, 0.0, 4.0])
    block.check_valid()
    assert len(block) == 4


@pytest.mark.parametrize(
    "block",
    [
        make_block([], [], 0, turns=0),
        make_block([], [], 3, turns=5),
        make_block([], [], 0, [], turns=0),
        changed(chain(2), state=np.zeros((3, 0), np.float32)),
        changed(chain(2), action=np.zeros(2, np.uint8)),
    ],
)
def test_unusual_blocks_are_valid(block: Block) -> None:
    block.check_valid()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("codes", np.zeros((3, 2, 3), np.int64)),
        ("codes", np.zeros((3, 6), np.uint8)),
        ("codes", np.zeros((2, 2, 3), np.uint8)),
        ("player", np.zeros((3, 2), np.int32)),
        ("player", np.zeros((3, 3), np.int16)),
        ("state", np.zeros((3, 1), np.float64)),
        ("state", np.zeros(3, np.float32)),
        ("state", np.full((3, 1), np.nan, np.float32)),
        ("first", np.array([0, 3], np.int32)),
        ("first", np.array([-1, 0], np.int32)),
        ("first", np.array([0, 1], np.int64)),
        ("next", np.array([0, 3], np.int32)),
        ("next", np.array([0], np.int32)),
        ("action", np.zeros(2, np.int64)),
        ("action", np.zeros(1, np.uint8)),
        ("returns", np.array([1.0, np.nan], np.float32)),
        ("returns", np.array([1.0, np.inf], np.float32)),
        ("returns", np.array([1.0, 2.0])),
        ("discounts", np.array([0.0, 1.5], np.float32)),
        ("discounts", np.array([0.0, -0.5], np.float32)),
        ("discounts", np.array([0.0, np.nan], np.float32)),
        ("discounts", np.zeros((2, 1), np.float32)),
        ("priorities", np.array([1.0, np.nan], np.float32)),
        ("priorities", np.array([1.0], np.float32)),
        ("turns", -1),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any) -> None:
    block = changed(chain(2, [1.0, 1.0]), **{field: value})
    # A wrong number of rows shows in the next field that has one for each.
    named = "player" if field == "codes" and value.shape == (2, 2, 3) else field
    with pytest.raises(ValueError, match=rf"block\.{named} must be"):
        block.check_valid()
