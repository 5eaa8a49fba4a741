"""Transitions: as an actor sends them (blocks), as replay keeps them (rings), as a learner gets them (batches)."""

from __future__ import annotations

import bisect
import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]
Players = npt.NDArray[np.int16]
States = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32] | npt.NDArray[np.int64]
Actions = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transitions:
    """K transitions between rows of observations.

    first, next: [K] int32 within a block, int64 where rows are counted from the start of the run; where the discount
        is 0 `next` is any row
    action: [K] uint8 or uint16
    returns: [K] float32, the rewards of n turns, discounted and added up
    discounts: [K] float32, the factor on the value of `next`, 0 where the game terminated
    """

    first: Rows
    next: Rows
    action: Actions
    returns: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of transitions, K."""
        return len(self.first)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block(Transitions):
    """What an actor sends: R rows, each observation once, and K transitions between them.

    A block is complete in itself: `first` and `next` are rows of this block.

    codes: [R, H, W] uint8, the boards
    player: [R, 2] int16, the player's cell (x, y), or -1, -1
    state: [R, S] float32
    priorities: [K] float32, absolute TD errors, or None if the actor did not compute them
    turns: turns played for this block, which differs from K where a game's last turns start no transition yet
    """

    codes: Codes
    player: Players
    state: States
    priorities: npt.NDArray[np.float32] | None
    turns: int

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
        is_table = self.state.ndim == 2 and len(self.state) == rows
        _require(is_table and self.state.dtype == np.float32, "state", "[R, S] float32")
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
class SampledTransitions:
    """B sampled transitions without their observations.

    action: [B] int64
    returns: [B] float32
    discounts: [B] float32, 0 where the game terminated
    weights: [B] float32, importance weights, the largest of them 1
    ids: [B] int64, the names under which priorities are sent back
    """

    action: npt.NDArray[np.int64]
    returns: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of transitions, B."""
        return len(self.ids)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch(SampledTransitions):
    """B sampled transitions with the observations at both ends; where the discount is 0 those of the end mean nothing.

    codes, next_codes: [B, H, W] uint8
    player, next_player: [B, 2] int16
    state, next_state: [B, S] float32
    """

    codes: Codes
    player: Players
    state: States
    next_codes: Codes
    next_player: Players
    next_state: States


def write_ring(ring: npt.NDArray[Any], start: int, values: npt.NDArray[Any]) -> None:
    """Write `values` to places start, start + 1, ... of `ring`, modulo its size.

    If there are more values than places, the last ones stay, as if written one by one.
    """
    size = len(ring)
    surplus = max(0, len(values) - size)
    values = values[surplus:]
    place = (start + surplus) % size
    head = min(size - place, len(values))
    ring[place : place + head] = values[:head]
    ring[: len(values) - head] = values[head:]


def read_ring(ring: npt.NDArray[Any], start: int, stop: int) -> npt.NDArray[Any]:
    """Return a copy of the places start, ..., stop - 1 of `ring`, modulo its size."""
    place = start % len(ring)
    count = stop - start
    head = min(len(ring) - place, count)
    return np.concatenate([ring[place : place + head], ring[: count - head]])


class TransitionRing:
    """A ring of transitions. The id of a transition is the number of transitions added before it.

    The oldest are evicted when the ring is full, or when a row that they or older ones need is overwritten.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.added = 0
        self.oldest = 0
        self.first = np.zeros(capacity, np.int32)
        self.next = np.zeros(capacity, np.int32)
        self.action = np.zeros(capacity, np.uint16)
        self.returns = np.zeros(capacity, np.float32)
        self.discounts = np.zeros(capacity, np.float32)
        # The lowest row that a transition or any later one refers to. It never falls from one to the next, so bisection
        # finds the last transition that needs an overwritten row.
        self._lowest_row = np.zeros(capacity, np.int64)

    def __len__(self) -> int:
        """Return the number of transitions held."""
        return self.added - self.oldest

    @property
    def memory_bytes(self) -> int:
        """Bytes of all fields."""
        fields = (self.first, self.next, self.action, self.returns, self.discounts, self._lowest_row)
        return sum(field.nbytes for field in fields)

    def lowest_row_from(self, oldest: int) -> int | None:
        """Return the oldest row that `oldest` or any later transition refers to, or None if there is none."""
        return int(self._lowest_row[oldest % self.capacity]) if oldest < self.added else None

    def append(self, new: Transitions, first_places: npt.NDArray[np.int32], next_places: npt.NDArray[np.int32]) -> None:
        """Add transitions whose rows are at the places given; their names are above those of all rows added before."""
        write_ring(self.first, self.added, first_places)
        write_ring(self.next, self.added, next_places)
        write_ring(self.action, self.added, new.action)
        write_ring(self.returns, self.added, new.returns)
        write_ring(self.discounts, self.added, new.discounts)
        lowest = np.minimum(new.first, new.next)
        write_ring(self._lowest_row, self.added, np.minimum.accumulate(lowest[::-1])[::-1])
        self.added += len(new.first)

    def evict(self, oldest_row: int) -> None:
        """Drop transitions that were overwritten or that need a row older than `oldest_row`."""
        within = range(max(self.oldest, self.added - self.capacity), self.added)
        lost = bisect.bisect_left(within, oldest_row, key=lambda i: int(self._lowest_row[i % self.capacity]))
        self.oldest = within.start + lost

    def slots(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Return where the ring keeps the ids start, ..., stop - 1."""
        return np.arange(start, stop, dtype=np.int64) % self.capacity

    def ids(self, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the ids kept at `slots`."""
        return self.oldest + (slots - self.oldest) % self.capacity

    def restart(self, added: int) -> None:
        """Drop all; the next transition gets the id `added`."""
        self.added = self.oldest = added


class ObservationRows:
    """A ring of observations. The name of a row is the number of rows written before it.

    Untouched pages of the arrays take no memory, so a large ring is free until it is filled.
    """

    def __init__(self, size: int, height: int, width: int, n_state: int) -> None:
        self.size = size
        self.written = 0
        self.codes = np.zeros((size, height, width), np.uint8)
        self.player = np.zeros((size, 2), np.int16)
        self.state = np.zeros((size, n_state), np.float32)

    @property
    def oldest(self) -> int:
        """The first row that can still be read; all before it were overwritten."""
        return max(0, self.written - self.size)

    @property
    def memory_bytes(self) -> int:
        """Bytes of a full ring."""
        return self.codes.nbytes + self.player.nbytes + self.state.nbytes

    def append(self, codes: Codes, player: Players, state: States) -> int:
        """Write rows [R, H, W], [R, 2] and [R, S] over the oldest ones; return the name of the first.

        Raises:
            ValueError: as `check_shapes`; nothing is written then.
        """
        self.check_shapes(codes, player, state)
        start = self.written
        write_ring(self.codes, start, codes)
        write_ring(self.player, start, player)
        write_ring(self.state, start, state)
        self.written += len(codes)
        return start

    def check_shapes(self, codes: Codes, player: Players, state: States) -> None:
        """Raise ValueError unless the rows have this ring's board and number of state values."""
        for name, rows in (("codes", codes), ("player", player), ("state", state)):
            ours = getattr(self, name)
            if rows.shape != (len(codes), *ours.shape[1:]) or rows.dtype != ours.dtype:
                raise ValueError(
                    f"{name} {rows.shape} {rows.dtype} do not fit a memory of rows {ours.shape[1:]} {ours.dtype}"
                )

    def places(self, rows: Rows) -> npt.NDArray[np.int32]:
        """Return where the ring keeps `rows`."""
        return (rows % self.size).astype(np.int32)

    def names(self, places: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Return the rows that the ring keeps at `places`."""
        return self.oldest + (places.astype(np.int64) - self.oldest) % self.size

    def take(self, places: npt.NDArray[np.int32]) -> tuple[Codes, Players, States]:
        """Return copies of the codes, players and states at `places`."""
        return self.codes.take(places, axis=0), self.player.take(places, axis=0), self.state.take(places, axis=0)

    def read(self, start: int, stop: int) -> tuple[Codes, Players, States]:
        """Return copies of the codes, players and states of rows start, ..., stop - 1."""
        codes, player = read_ring(self.codes, start, stop), read_ring(self.player, start, stop)
        return codes, player, read_ring(self.state, start, stop)
