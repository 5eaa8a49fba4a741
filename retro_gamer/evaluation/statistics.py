"""Statistics of games: scores with their confidence interval, and the means of the final states."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

from retro_gamer.errors import GameFailedError

SMALL_SAMPLE_95 = (12.706, 4.303, 3.182, 2.776, 2.571)
"""Student's t for a 95% interval with 1 to 5 degrees of freedom."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GameResult:
    """One game, played to its end or to the turn limit. `state` holds the numbers of the final state.

    `failure` is the error of a game that failed. A game that could not be started has a failure and no turns.
    """

    seed: int
    total_reward: float
    turns: int
    state: dict[str, float]
    failure: str | None = None

    @property
    def was_played(self) -> bool:
        """Whether the game could be started."""
        return self.turns > 0 or self.failure is None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Statistics of one player's games.

    episodes: games played. Games that could not be started are excluded from all statistics.
    mean, median, best, worst: of the total reward of a game
    interval: half the width of the 95% confidence interval of the mean; nan for a single game
    mean_turns: mean length of a game
    state_means: means of the other numbers in the final state, by key
    faults: games that failed with an error of their own; `first_fault` is the first error
    """

    episodes: int
    mean: float
    interval: float
    median: float
    best: float
    worst: float
    mean_turns: float
    state_means: dict[str, float]
    faults: int
    first_fault: str | None


def compute_statistics(results: Sequence[GameResult], keys: Iterable[str]) -> Evaluation:
    """Return the statistics of at least one game, with the means of `keys` in the final states.

    Raises:
        GameFailedError: if no game could be started.
    """
    played = [result for result in results if result.was_played]
    failures = [result.failure for result in results if result.failure is not None]
    if not played:
        raise GameFailedError(failures[0])
    scores = [result.total_reward for result in played]
    return Evaluation(
        episodes=len(played),
        mean=statistics.fmean(scores),
        interval=half_interval_95(scores),
        median=statistics.median(scores),
        best=max(scores),
        worst=min(scores),
        mean_turns=statistics.fmean(result.turns for result in played),
        state_means={
            key: statistics.fmean(values)
            for key in sorted(keys)
            if (values := [result.state[key] for result in played if key in result.state])
        },
        faults=len(failures),
        first_fault=failures[0] if failures else None,
    )


def half_interval_95(values: Sequence[float]) -> float:
    """Return half the width of the 95% confidence interval of the mean of independent `values`; nan for one value."""
    if len(values) < 2:
        return math.nan
    return students_t_95(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))


def students_t_95(degrees_of_freedom: int) -> float:
    """Return the two-sided 95% quantile of Student's t (Cornish-Fisher; within 0.003 of the tables)."""
    if degrees_of_freedom <= len(SMALL_SAMPLE_95):
        return SMALL_SAMPLE_95[degrees_of_freedom - 1]
    z, n = 1.959964, degrees_of_freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def find_varying_keys(results: Iterable[GameResult], reward: str) -> set[str]:
    """Return the keys whose final values differ from game to game.

    The reward key is excluded, because its change is the score.
    """
    values: dict[str, set[float]] = {}
    for result in results:
        for key, value in result.state.items():
            values.setdefault(key, set()).add(value)
    return {key for key, found in values.items() if len(found) > 1 and key != reward}
