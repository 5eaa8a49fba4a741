"""From the rewards of a stretch of one game to n-step transitions."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

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
