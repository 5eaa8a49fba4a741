"""From turns played to blocks of n-step transitions.

Every observation is kept once, as a row; a transition names the rows it starts and ends in. A block is complete in
itself: the rows at its end from which nothing starts yet are sent again at the head of the next one, so replay needs
no memory of who sent what and a lost actor leaves nothing half done.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from retro_gamer.learning.step import initial_priorities
from retro_gamer.replay.transitions import Block


@dataclasses.dataclass
class Trajectory:
    """One game's rows from the first start that is not yet a transition, and what was done between them."""

    rows: list[int] = dataclasses.field(default_factory=list)
    actions: list[int] = dataclasses.field(default_factory=list)
    rewards: list[float] = dataclasses.field(default_factory=list)

    def clear(self) -> None:
        """Forget everything: the game is over and all its transitions are made."""
        self.rows, self.actions, self.rewards = [], [], []


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Piece:
    """Transitions of one trajectory: arrays of the same length, rows counted within the block."""

    first: np.ndarray
    next: np.ndarray
    action: np.ndarray
    returns: np.ndarray
    discounts: np.ndarray


class RolloutBuilder:
    """Collects the rows of several games and turns them into blocks.

    Rows are written in place: `codes` uint8 [R, H, W], `player` int16 [R, 2], `state` float32 [R, S]. With
    `with_priorities` the caller also notes Q-values: `q_taken` and `q_best`, float32 [R], for every row acted on.
    """

    def __init__(
        self,
        *,
        n_games: int,
        block_turns: int,
        shape: tuple[int, int, int],
        n_step: int,
        gamma: float,
        with_priorities: bool,
    ) -> None:
        height, width, n_state = shape
        capacity = n_games * (n_step + 4) + 2 * block_turns
        self._n_step = n_step
        self._gamma = gamma
        self._with_priorities = with_priorities
        self._margin = 2 * n_games
        self.codes = np.zeros((capacity, height, width), np.uint8)
        self.player = np.zeros((capacity, 2), np.int16)
        self.state = np.zeros((capacity, n_state), np.float32)
        self.q_taken = np.zeros(capacity, np.float32)
        self.q_best = np.zeros(capacity, np.float32)
        self.trajectories = [Trajectory() for _ in range(n_games)]
        self._used = 0
        self._turns = 0
        self._pieces: list[_Piece] = []

    @property
    def is_full(self) -> bool:
        """Whether a block must be made before every game can play another turn."""
        return self._used + self._margin > len(self.codes)

    @property
    def next_row(self) -> int:
        """The row that the next observation must be written to."""
        return self._used

    def add_row(self, game: int) -> None:
        """Note that `next_row` now holds the present observation of `game`."""
        self.trajectories[game].rows.append(self._used)
        self._used += 1

    def add_turn(self, game: int, action: int, reward: float) -> None:
        """Note what was done in the row of `game` before its latest one (in its latest, if the turn ended it)."""
        trajectory = self.trajectories[game]
        trajectory.actions.append(action)
        trajectory.rewards.append(reward)
        self._turns += 1

    def end_game(self, game: int, *, terminated: bool) -> None:
        """Make transitions of all that is left of a game that terminated, or that was truncated at its latest row."""
        self._make_transitions(self.trajectories[game], terminated=terminated, truncated=not terminated)
        self.trajectories[game].clear()

    def make_block(self) -> Block | None:
        """Return everything that is complete as one block and keep the rest; None if there is nothing to send."""
        for trajectory in self.trajectories:
            kept = self._make_transitions(trajectory, terminated=False, truncated=False)
            trajectory.rows = trajectory.rows[kept:]
            trajectory.actions = trajectory.actions[kept:]
            trajectory.rewards = trajectory.rewards[kept:]
        # Games that failed before their first turn leave rows behind but nothing to send.
        block = self._pack() if self._turns or self._pieces else None
        self._start_over()
        return block

    def _make_transitions(self, trajectory: Trajectory, *, terminated: bool, truncated: bool) -> int:
        turns = len(trajectory.rewards)
        if turns == 0:
            return 0
        # Unless the game ended, the latest row has not been acted on and has no Q-value to bootstrap from yet.
        last_row = turns if truncated else turns - 1
        steps = n_step_transitions(
            np.asarray(trajectory.rewards, np.float64),
            terminated=terminated,
            truncated=truncated,
            n=self._n_step,
            gamma=self._gamma,
            last_row=last_row,
        )
        if len(steps.start) == 0:
            return 0
        rows = np.asarray(trajectory.rows, np.int32)
        self._pieces.append(
            _Piece(
                first=rows[steps.start],
                next=rows[steps.next],
                action=np.asarray(trajectory.actions, np.uint16)[steps.start],
                returns=steps.returns,
                discounts=steps.discounts,
            )
        )
        return len(steps.start)

    def _pack(self) -> Block:
        empty = _Piece(
            first=np.zeros(0, np.int32),
            next=np.zeros(0, np.int32),
            action=np.zeros(0, np.uint16),
            returns=np.zeros(0, np.float32),
            discounts=np.zeros(0, np.float32),
        )
        pieces = self._pieces or [empty]
        joined = {
            field.name: np.concatenate([getattr(piece, field.name) for piece in pieces])
            for field in dataclasses.fields(_Piece)
        }
        priorities = None
        if self._with_priorities:
            priorities = initial_priorities(
                joined["returns"], joined["discounts"], self.q_taken[joined["first"]], self.q_best[joined["next"]]
            )
        return Block(
            codes=self.codes[: self._used].copy(),
            player=self.player[: self._used].copy(),
            state=self.state[: self._used].copy(),
            priorities=priorities,
            turns=self._turns,
            **joined,
        )

    def _start_over(self) -> None:
        kept = np.asarray([row for trajectory in self.trajectories for row in trajectory.rows], np.int64)
        for array in (self.codes, self.player, self.state, self.q_taken, self.q_best):
            array[: len(kept)] = array[kept]
        place = 0
        for trajectory in self.trajectories:
            trajectory.rows = list(range(place, place + len(trajectory.rows)))
            place += len(trajectory.rows)
        self._used = place
        self._turns = 0
        self._pieces = []


REWARD_LIMIT = 1e30
"""Larger rewards count as this much, so that no sum of them leaves the range of float32."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NStep:
    """K transitions: from row `start` [K] int32, gain `returns` [K] f32, trust row `next` [K] int32 by `discounts` [K].

    Rows count from the first of the stretch. A discount of 0 means that nothing follows, and `next` is then any row.
    """

    start: npt.NDArray[np.int32]
    next: npt.NDArray[np.int32]
    returns: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]


def n_step_transitions(
    rewards: npt.ArrayLike, terminated: bool, truncated: bool, n: int, gamma: float, last_row: int | None = None
) -> NStep:
    """Return the transitions of a stretch of T turns of one game, which lead from row 0 to row T.

    rewards: [T], where rewards[i] came on the way from row i to row i + 1.
    terminated: the game ended with the last turn. Every row starts a transition, and those that reach
        the end have a discount of 0. No row after the last turn is needed.
    truncated: the game was cut short after the last turn. Every row starts a transition; those near the
        end add up fewer than n rewards and trust the last row. Of both, terminated counts.
    neither: the stretch goes on. Only rows whose n rewards are all known start a transition.
    n: most rewards to add up, at least 1.
    gamma: discount per turn.
    last_row: index of the last row that may be trusted (default T); later rewards are then left out,
        except on the way to the end of a terminated game.

    Raises:
        ValueError: for n below 1 or a last_row outside 0..T.
    """
    limited = np.clip(np.asarray(rewards, dtype=np.float64).reshape(-1), -REWARD_LIMIT, REWARD_LIMIT)
    turns = len(limited)
    last_row = turns if last_row is None or terminated else last_row
    if n < 1 or not 0 <= last_row <= turns:
        raise ValueError(f"n must be at least 1 and last_row within 0..{turns}, not {n} and {last_row}")
    limited = limited[:last_row]
    starts = last_row if terminated or truncated else max(0, last_row - n + 1)
    returns = np.zeros(last_row)
    for k in range(min(n, last_row)):
        returns[: last_row - k] += gamma**k * limited[k:]
    start = np.arange(starts, dtype=np.int32)
    reached = np.minimum(start + n, last_row).astype(np.int32)
    discounts = np.power(float(gamma), reached - start)
    if terminated:
        discounts[reached == turns] = 0.0
        reached = np.minimum(reached, turns - 1)
    return NStep(
        start=start,
        next=reached,
        returns=returns[:starts].astype(np.float32),
        discounts=discounts.astype(np.float32),
    )
