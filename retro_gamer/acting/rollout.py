"""Rollouts: from the turns of several games to blocks of n-step transitions.

Every observation is kept once, as a row; a transition names the rows it starts and ends in. A block is complete in
itself: the rows at its end from which no transition starts yet are sent again at the head of the next one, so replay
needs no record of who sent what, and a lost actor leaves nothing half done.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from retro_gamer.learning.step import initial_priorities
from retro_gamer.replay.transitions import Block, Transitions

REWARD_LIMIT = 1e30
"""Larger rewards count as this much, so that no sum of them leaves the range of float32."""


def n_step_transitions(
    rewards: npt.ArrayLike,
    *,
    rows: npt.ArrayLike,
    actions: npt.ArrayLike,
    terminated: bool,
    truncated: bool,
    n: int,
    gamma: float,
    last_row: int | None = None,
) -> Transitions:
    """Return the transitions of T consecutive turns of one game.

    rewards, actions: [T], where rewards[i] was earned between rows[i] and rows[i + 1]
    rows: [T + 1], the names of the observations; [T] is enough for a game that terminated
    terminated: every row starts a transition, and those that reach the end have a discount of 0
    truncated: every row starts a transition; those near the end add up fewer than n rewards and bootstrap from the
        last row. If both are true, terminated counts; if neither, only rows whose n rewards are known start one.
    last_row: index of the last row to bootstrap from (default T). Later rewards only count in a game that terminated.

    Raises:
        ValueError: for n below 1 or a last_row outside 0..T.
    """
    limited = np.clip(np.asarray(rewards, dtype=np.float64).reshape(-1), -REWARD_LIMIT, REWARD_LIMIT)
    turns = len(limited)
    last_row = turns if last_row is None or terminated else last_row
    if n < 1 or not 0 <= last_row <= turns:
        raise ValueError(f"n must be at least 1 and last_row within 0..{turns}, not {n} and {last_row}")
    limited = limited[:last_row]
    count = last_row if terminated or truncated else max(0, last_row - n + 1)
    returns = np.zeros(last_row)
    for k in range(min(n, last_row)):
        returns[: last_row - k] += gamma**k * limited[k:]
    start = np.arange(count, dtype=np.int32)
    reached = np.minimum(start + n, last_row).astype(np.int32)
    discounts = np.power(float(gamma), reached - start)
    if terminated:
        discounts[reached == turns] = 0.0
        reached = np.minimum(reached, turns - 1)
    named = np.asarray(rows, np.int32)
    return Transitions(
        first=named[start],
        next=named[reached],
        action=np.asarray(actions, np.uint16)[start],
        returns=returns[:count].astype(np.float32),
        discounts=discounts.astype(np.float32),
    )


NO_TRANSITIONS = n_step_transitions([], rows=[], actions=[], terminated=False, truncated=False, n=1, gamma=1.0)


def join(pieces: list[Transitions]) -> dict[str, Any]:
    """Return the fields of all transitions, in order."""
    return {
        field.name: np.concatenate([getattr(piece, field.name) for piece in pieces or [NO_TRANSITIONS]])
        for field in dataclasses.fields(Transitions)
    }


@dataclasses.dataclass
class Trajectory:
    """One game's rows from the first one that starts no transition yet, with the actions and rewards since."""

    rows: list[int] = dataclasses.field(default_factory=list)
    actions: list[int] = dataclasses.field(default_factory=list)
    rewards: list[float] = dataclasses.field(default_factory=list)

    def drop(self, count: int) -> None:
        """Drop the oldest rows, whose transitions are made."""
        self.rows, self.actions, self.rewards = self.rows[count:], self.actions[count:], self.rewards[count:]

    def clear(self) -> None:
        """Drop everything: the game is over."""
        self.rows, self.actions, self.rewards = [], [], []


class RolloutBuilder:
    """Collects the rows of several games and turns them into blocks.

    The caller writes an observation to `next_row` of `codes` uint8 [R, H, W], `player` int16 [R, 2] and `state` float32
    [R, S]. With `with_priorities` it also writes Q-values, `q_taken` and `q_best` float32 [R], of every row acted on.
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
        self.next_row = 0
        self._turns = 0
        self._pieces: list[Transitions] = []

    @property
    def is_full(self) -> bool:
        """Whether a block must be made before every game can play another turn."""
        return self.next_row + self._margin > len(self.codes)

    def add_row(self, game: int) -> None:
        """Record that `next_row` now holds the present observation of `game`."""
        self.trajectories[game].rows.append(self.next_row)
        self.next_row += 1

    def add_turn(self, game: int, action: int, reward: float) -> None:
        """Record a turn that led to the game's latest row, or from it if the turn ended the game."""
        trajectory = self.trajectories[game]
        trajectory.actions.append(action)
        trajectory.rewards.append(reward)
        self._turns += 1

    def end_game(self, game: int, *, terminated: bool) -> None:
        """Make the last transitions of a game that terminated, or was truncated at its latest row."""
        self._make_transitions(self.trajectories[game], terminated=terminated, truncated=not terminated)
        self.trajectories[game].clear()

    def make_block(self) -> Block | None:
        """Return everything that is complete as one block and keep the rest; None if there is nothing to send."""
        for trajectory in self.trajectories:
            trajectory.drop(self._make_transitions(trajectory, terminated=False, truncated=False))
        # Games that failed before their first turn leave rows behind but nothing to send.
        block = self._pack() if self._turns or self._pieces else None
        self._start_over()
        return block

    def _make_transitions(self, trajectory: Trajectory, *, terminated: bool, truncated: bool) -> int:
        turns = len(trajectory.rewards)
        if turns == 0:
            return 0
        piece = n_step_transitions(
            trajectory.rewards,
            rows=trajectory.rows,
            actions=trajectory.actions,
            terminated=terminated,
            truncated=truncated,
            n=self._n_step,
            gamma=self._gamma,
            # Unless the game ended, the latest row was not acted on yet and has no Q-value to bootstrap from.
            last_row=turns if truncated else turns - 1,
        )
        if len(piece):
            self._pieces.append(piece)
        return len(piece)

    def _pack(self) -> Block:
        joined = join(self._pieces)
        priorities = None
        if self._with_priorities:
            priorities = initial_priorities(
                joined["returns"], joined["discounts"], self.q_taken[joined["first"]], self.q_best[joined["next"]]
            )
        return Block(
            codes=self.codes[: self.next_row].copy(),
            player=self.player[: self.next_row].copy(),
            state=self.state[: self.next_row].copy(),
            priorities=priorities,
            turns=self._turns,
            **joined,
        )

    def _start_over(self) -> None:
        kept = np.asarray([row for trajectory in self.trajectories for row in trajectory.rows], np.int64)
        for array in (self.codes, self.player, self.state, self.q_taken, self.q_best):
            array[: len(kept)] = array[kept]
        self.next_row = 0
        for trajectory in self.trajectories:
            trajectory.rows = list(range(self.next_row, self.next_row + len(trajectory.rows)))
            self.next_row += len(trajectory.rows)
        self._turns = 0
        self._pieces = []
