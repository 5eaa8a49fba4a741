"""What an actor sends to replay: rows of observations and the transitions between them."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """R rows, each observation once, and K transitions that name their rows.

    codes: [R, H, W] uint8, the boards
    player: [R, 2] int16, the player's cell (x, y), or -1, -1
    state: [R, S] float32
    first, next: [K] int32, rows of this block; where the discount is 0 `next` is any of its rows
    action: [K] uint8 or uint16
    returns: [K] float32, rewards on the way, discounted and added up
    discounts: [K] float32, what the value of `next` counts, 0 at the end of a game
    priorities: [K] float32, absolute TD errors, or None if the actor did not compute them
    turns: turns played for this block, which differs from K where a game's windows are still open
    """

    codes: npt.NDArray[np.uint8]
    player: npt.NDArray[np.int16]
    state: npt.NDArray[np.float32]
    first: npt.NDArray[np.int32]
    next: npt.NDArray[np.int32]
    action: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    returns: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]
    priorities: npt.NDArray[np.float32] | None
    turns: int

    def __len__(self) -> int:
        """Return the number of transitions, K."""
        return len(self.first)

    def check_valid(self) -> None:
        """Return if every field has its type, its shape and values that can be learned from.

        Raises:
            ValueError: naming the first field that does not.
        """
        self._check_shapes()
        rows = len(self.codes)
        for name, indices in (("first", self.first), ("next", self.next)):
            _require(not len(indices) or (indices.min() >= 0 and indices.max() < rows), name, f"rows of 0..{rows - 1}")
        for name in ("state", "returns", "discounts", "priorities"):
            values = getattr(self, name)
            _require(values is None or bool(np.isfinite(values).all()), name, "finite")
        _require(not len(self) or (self.discounts.min() >= 0 and self.discounts.max() <= 1), "discounts", "within 0..1")
        _require(self.turns >= 0, "turns", "0 or more")

    def _check_shapes(self) -> None:
        _require(self.codes.ndim == 3 and self.codes.dtype == np.uint8, "codes", "[R, H, W] uint8")
        rows, count = len(self.codes), len(self.first)
        _require(self.player.shape == (rows, 2) and self.player.dtype == np.int16, "player", "[R, 2] int16")
        _require(
            self.state.ndim == 2 and len(self.state) == rows and self.state.dtype == np.float32,
            "state",
            "[R, S] float32",
        )
        for name in ("first", "next"):
            _require(_is_vector(getattr(self, name), count, np.int32), name, "[K] int32")
        _require(_is_vector(self.action, count, np.uint8, np.uint16), "action", "[K] uint8 or uint16")
        for name in ("returns", "discounts", "priorities"):
            values = getattr(self, name)
            optional = name == "priorities" and values is None
            _require(optional or _is_vector(values, count, np.float32), name, "[K] float32")


def _is_vector(values: npt.NDArray[np.generic], count: int, *kinds: type[np.generic]) -> bool:
    return values.shape == (count,) and values.dtype in kinds


def _require(holds: bool | np.bool, field: str, rule: str) -> None:
    if not holds:
        raise ValueError(f"block.{field} must be {rule}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """B transitions, each with the observations at both ends.

    codes, next_codes: [B, H, W] uint8
    player, next_player: [B, 2] int16
    state, next_state: [B, S] float32
    action: [B] int64
    returns: [B] float32
    discounts: [B] float32; where 0 the game had ended and next_* is an observation without meaning
    weights: [B] float32, importance weights, the largest of them 1
    ids: [B] int64, the records' names, by which to send priorities back
    """

    codes: npt.NDArray[np.uint8]
    player: npt.NDArray[np.int16]
    state: npt.NDArray[np.float32]
    action: npt.NDArray[np.int64]
    returns: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]
    next_codes: npt.NDArray[np.uint8]
    next_player: npt.NDArray[np.int16]
    next_state: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of transitions, B."""
        return len(self.ids)
