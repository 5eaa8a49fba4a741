"""The replay buffer of a run: keeps transitions, draws batches of them, and counts the turns received."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from retro_gamer.errors import quoted
from retro_gamer.replay.samplers import Priorities, RareTransitions
from retro_gamer.replay.transitions import Batch, Block, ObservationRows, TransitionRing, Transitions

STATE_VERSION = 1

FIELDS = {
    "codes": np.uint8,
    "player": np.int16,
    "state": np.float32,
    "first": np.int64,
    "next": np.int64,
    "action": np.uint16,
    "returns": np.float32,
    "discounts": np.float32,
}
"""The arrays of a state with their types: rows first, then the fields of transitions."""
LARGEST_COUNT = 2**53
COUNTS = ("turns", "oldest", "first_row")
"""The counts of a state, from 0 to `LARGEST_COUNT`."""
LARGEST_VALUES = {"returns": 1e37, "discounts": 1.0, "priorities": 1e30}
"""The largest absolute values of a state. Sums and squares of them stay finite."""
GENERATOR = {"state": 2**128, "inc": 2**128, "has_uint32": 2, "uinteger": 2**32}
"""The integers of the random generator's state, each below its bound."""


def check_state(state: Mapping[str, Any]) -> None:
    """Return if `state` has every field, of matching lengths and with values in range.

    Raises:
        ValueError: naming what is wrong.
    """

    def require(name: str, holds: bool | np.bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"{name} of a replay state must be {rule}")

    require("version", state.get("version") == STATE_VERSION, f"{STATE_VERSION}, not {quoted(state.get('version'))}")
    for name in COUNTS:
        value = state.get(name)
        require(name, type(value) is int and 0 <= value <= LARGEST_COUNT, f"a count, not {quoted(value)}")
    require("random", _is_generator(state.get("random")), "the state of a PCG64 generator")
    for name, kind in FIELDS.items():
        value = state.get(name)
        require(name, isinstance(value, np.ndarray) and value.dtype == kind, f"an array of {kind.__name__}")
    count, priorities = len(state["first"]), state.get("priorities", "missing")
    is_array = isinstance(priorities, np.ndarray) and priorities.dtype == np.float64
    require("priorities", priorities is None or is_array, "an array of float64, or None")
    for name in ("first", "next", "action", "returns", "discounts", "priorities"):
        value = state[name]
        require(name, value is None or value.shape == (count,), f"one value for each of its {count} transitions")
    low, high = state["first_row"], state["first_row"] + len(state["codes"]) - 1
    for name in ("first", "next"):
        rows = state[name]
        require(name, not count or low <= rows.min() <= rows.max() <= high, f"rows that it holds, {low}..{high}")
    for name in ("state", "returns", "discounts", "priorities"):
        require(name, state[name] is None or np.isfinite(state[name]).all(), "finite")
    for name, largest in LARGEST_VALUES.items():
        value = state[name]
        require(name, value is None or not count or np.abs(value).max() <= largest, f"at most {largest:g}")
    require("priorities", priorities is None or not count or priorities.min() > 0, "positive")


def _is_generator(random: Any) -> bool:
    """Return whether `random` is the state of a PCG64 generator; with an even increment it may repeat one number."""
    inner = random.get("state") if isinstance(random, dict) else None
    values = {**random, **inner} if isinstance(inner, dict) else {}
    is_within = all(type(values.get(name)) is int and 0 <= values[name] < bound for name, bound in GENERATOR.items())
    return is_within and random.get("bit_generator") == "PCG64" and values["inc"] % 2 == 1


COPIED_BYTES = 8 + 8 + 2 + 4 + 4 + 8
"""Bytes of a transition in a state: its two rows, action, return, discount and priority."""
LEAST_SPARE_ROWS = 1 / 16
"""Rows beyond one a transition, as a share of the capacity, where grants are long and n-step returns short."""


def row_capacity(capacity: int, spare_rows: float) -> int:
    """Return how many rows to keep for `capacity` transitions.

    There are more rows than transitions: the last of each game, and those that several blocks repeat, for which
    `spare_rows` gives a share of the capacity.
    """
    return capacity + int(capacity * spare_rows) + 4096


class ReplayBuffer:
    """The newest `capacity` transitions, drawn uniformly or by priority.

    Each observation is kept once, one byte a cell, and transitions refer to it: a transition of a 16x32 board takes
    under 600 bytes, a pair of one-hot float32 boards 24 KB. An id is never used again, so a priority that comes back
    late cannot change the transition that took the slot.

    capacity: transitions
    height, width: cells of the board
    n_state: values of `observe_state`
    prioritized: whether to draw by priority
    priority_exponent, importance_exponent: read only if prioritized
    rare_share: the share of a batch to draw from rare transitions, if there are any; read only if not prioritized
    spare_rows: rows beyond one a transition, as a share of the capacity: those that several blocks repeat
    seed: of the draws
    """

    def __init__(
        self,
        *,
        capacity: int,
        height: int,
        width: int,
        n_state: int,
        prioritized: bool,
        priority_exponent: float = 0.6,
        importance_exponent: float = 0.4,
        rare_share: float = 0.0,
        spare_rows: float = LEAST_SPARE_ROWS,
        seed: int = 0,
    ) -> None:
        self.capacity = capacity
        self.turns = 0
        self._rows = ObservationRows(row_capacity(capacity, spare_rows), height, width, n_state)
        self._transitions = TransitionRing(capacity)
        self._priorities = Priorities(capacity, priority_exponent, importance_exponent) if prioritized else None
        self._rare_share = rare_share
        self._rare = RareTransitions(self._transitions)
        self._random = np.random.Generator(np.random.PCG64(seed))

    def __len__(self) -> int:
        """Return the number of transitions that can be drawn."""
        return len(self._transitions)

    @property
    def added(self) -> int:
        """Transitions ever pushed; the next one gets this id."""
        return self._transitions.added

    @property
    def memory_bytes(self) -> int:
        """Bytes of a full buffer."""
        priorities = self._priorities.memory_bytes if self._priorities else 0
        return self._rows.memory_bytes + self._transitions.memory_bytes + priorities

    def push(self, block: Block) -> int:
        """Add a block in place of the oldest transitions; return the turns received so far.

        Transitions without a priority get the mean of those held.

        Raises:
            ValueError: for a block that is not valid or of another board; nothing of it is kept.
        """
        block.check_valid()
        errors = block.priorities
        priorities = self._priorities.from_errors(errors) if self._priorities and errors is not None else None
        start = self._rows.append(block.codes, block.player, block.state)
        new = Transitions(
            first=start + block.first.astype(np.int64),
            next=start + block.next.astype(np.int64),
            action=block.action.astype(np.uint16),
            returns=block.returns,
            discounts=block.discounts,
        )
        self._append(new, priorities)
        self.turns += block.turns
        return self.turns

    def sample(self, n_batches: int, batch_size: int) -> list[Batch]:
        """Return batches drawn with replacement, all by the priorities of this moment.

        Raises:
            ValueError: if the memory is empty, or for a count below 1.
        """
        if not len(self):
            raise ValueError("the replay memory is empty: nothing can be sampled from it")
        if n_batches < 1 or batch_size < 1:
            raise ValueError(f"cannot sample {n_batches} batches of {batch_size} records")
        held = self._transitions
        slots, weights = self._draw(n_batches, batch_size)
        codes, player, state = self._rows.take(np.stack([held.first[slots], held.next[slots]], axis=1))
        action = held.action[slots].astype(np.int64)
        returns, discounts, ids = held.returns[slots], held.discounts[slots], held.ids(slots)
        return [
            Batch(
                codes=codes[i, 0],
                player=player[i, 0],
                state=state[i, 0],
                action=action[i],
                returns=returns[i],
                discounts=discounts[i],
                next_codes=codes[i, 1],
                next_player=player[i, 1],
                next_state=state[i, 1],
                weights=weights[i],
                ids=ids[i],
            )
            for i in range(n_batches)
        ]

    def _draw(self, n_batches: int, batch_size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return slots and importance weights [n_batches, batch_size]: by priority, or uniform with a rare share."""
        if self._priorities:
            slots = self._priorities.draw(n_batches, batch_size, self._random)
            return slots, self._priorities.weights(slots, len(self))
        held = self._transitions
        slots = self._random.integers(held.oldest, held.added, (n_batches, batch_size)) % self.capacity
        n_rare = round(self._rare_share * batch_size)
        if n_rare and len(rare := self._rare.slots):
            slots[:, :n_rare] = rare[self._random.integers(0, len(rare), (n_batches, n_rare))]
        return slots, np.ones((n_batches, batch_size), np.float32)

    def update_priorities(self, ids: npt.NDArray[np.int64], priorities: npt.NDArray[np.float32]) -> int:
        """Set priorities from absolute TD errors [N]; return how many of the transitions were overwritten before.

        If an id comes twice, its last error counts. A buffer without priorities keeps nothing.

        Raises:
            ValueError: for an error that is not finite, or another number of errors than of ids; nothing changes then.
        """
        if ids.shape != priorities.shape:
            raise ValueError(f"{ids.shape} ids do not go with {priorities.shape} priorities")
        if not np.isfinite(priorities).all():
            raise ValueError("the errors sent as priorities must be finite")
        there = (ids >= self._transitions.oldest) & (ids < self._transitions.added)
        if self._priorities:
            self._priorities.set(ids[there] % self.capacity, self._priorities.from_errors(priorities[there]))
        return int(len(ids) - np.count_nonzero(there))

    def get_state(self, limit_bytes: int | None = None) -> dict[str, Any]:
        """Return a copy of the buffer as arrays and plain values, from which `set_state` continues.

        Rows and transitions come oldest first and name each other by count, not by place, so a buffer of another
        capacity can load them. With `limit_bytes` only the newest that fit are copied.
        """
        held = self._transitions
        oldest = held.oldest if limit_bytes is None else self._oldest_within(limit_bytes)
        lowest_row = held.lowest_row_from(oldest)
        first_row = self._rows.written if lowest_row is None else lowest_row
        codes, player, state = self._rows.read(first_row, self._rows.written)
        slots = held.slots(oldest, held.added)
        return {
            "version": STATE_VERSION,
            "turns": self.turns,
            "oldest": oldest,
            "first_row": first_row,
            "codes": codes,
            "player": player,
            "state": state,
            "first": self._rows.names(held.first[slots]),
            "next": self._rows.names(held.next[slots]),
            "action": held.action[slots],
            "returns": held.returns[slots],
            "discounts": held.discounts[slots],
            "priorities": self._priorities.get(slots) if self._priorities else None,
            "random": self._random.bit_generator.state,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Replace the contents by a state from `get_state` of a buffer for the same board.

        A buffer of the same capacity draws the same transitions from here on. A smaller one keeps the newest.

        Raises:
            ValueError: for a state that is incomplete or of another board; nothing changes then.
        """
        check_state(state)
        self._rows.check_shapes(state["codes"], state["player"], state["state"])
        generator = np.random.PCG64()
        generator.state = state["random"]
        if self._priorities and len(self):
            slots = self._transitions.slots(self._transitions.oldest, self._transitions.added)
            self._priorities.set(slots, np.zeros(len(slots)))
        self._transitions.restart(state["oldest"])
        self._rows.written = state["first_row"]
        self._rows.append(state["codes"], state["player"], state["state"])
        fields = {name: state[name] for name in ("first", "next", "action", "returns", "discounts")}
        self._append(Transitions(**fields), state["priorities"])
        self._rare = RareTransitions(self._transitions)
        self.turns = state["turns"]
        self._random = np.random.Generator(generator)

    def _oldest_within(self, limit_bytes: int) -> int:
        """Return the oldest transition such that a copy from it on takes at most `limit_bytes`."""
        held, rows = self._transitions, self._rows

        def is_within(oldest: int) -> bool:
            lowest_row = held.lowest_row_from(oldest)
            n_rows = 0 if lowest_row is None else rows.written - lowest_row
            return n_rows * rows.memory_bytes / rows.size + (held.added - oldest) * COPIED_BYTES <= limit_bytes

        return held.oldest + bisect.bisect_left(range(held.oldest, held.added), True, key=is_within)

    def _append(self, new: Transitions, priorities: npt.NDArray[np.float64] | None) -> None:
        held = self._transitions
        added, oldest = held.added, held.oldest
        mean = self._priorities.total / len(self) if self._priorities and len(self) else 1.0
        held.append(new, self._rows.places(new.first), self._rows.places(new.next))
        held.evict(self._rows.oldest)
        if self._priorities:
            kept = max(added, held.oldest)
            gone = held.slots(oldest, held.oldest)
            values = np.full(len(new.first), mean) if priorities is None else priorities
            # A new transition often takes the slot of an evicted one: its value comes last and stays.
            self._priorities.set(
                np.concatenate([gone, held.slots(kept, held.added)]),
                np.concatenate([np.zeros(len(gone)), values[kept - added :]]),
            )
