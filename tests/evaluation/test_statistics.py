from __future__ import annotations

import math

import pytest

from retro_gamer.errors import GameFailedError
from retro_gamer.evaluation.statistics import (
    GameResult,
    compute_statistics,
    find_varying_keys,
    half_interval_95,
    students_t_95,
)

TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 8: 2.306, 10: 2.228, 20: 2.086, 30: 2.042}
TABLE |= {60: 2.000, 120: 1.980, 1_000_000: 1.960}
"""From printed tables of Student's t, two-sided 5%."""


def game(seed: int, total_reward: float, turns: int = 10, failure: str | None = None, **state: float) -> GameResult:
    return GameResult(seed=seed, total_reward=total_reward, turns=turns, state=state, failure=failure)


@pytest.mark.parametrize(("degrees", "quantile"), TABLE.items())
def test_the_quantile_is_that_of_the_tables(degrees: int, quantile: float) -> None:
    assert students_t_95(degrees) == pytest.approx(quantile, abs=0.003)


def test_the_interval_by_hand() -> None:
    # mean 3, squared distances 4 + 1 + 0 + 1 + 4 = 10, standard deviation sqrt(10 / 4), t of 4 degrees 2.776
    assert half_interval_95([1, 2, 3, 4, 5]) == pytest.approx(2.776 * math.sqrt(10 / 4) / math.sqrt(5))
    assert half_interval_95([7, 7, 7]) == 0
    assert math.isnan(half_interval_95([7]))


def test_the_figures_of_some_games() -> None:
    games = [game(1, 10, turns=4, lives=1), game(2, -2, turns=8, lives=3), game(3, 1, turns=9)]
    evaluation = compute_statistics(games, ["lives", "level"])
    assert evaluation.episodes == 3
    assert (evaluation.mean, evaluation.median, evaluation.best, evaluation.worst) == (3, 1, 10, -2)
    assert evaluation.mean_turns == 7
    assert evaluation.state_means == {"lives": 2}
    assert (evaluation.faults, evaluation.first_fault) == (0, None)


def test_failed_games_are_counted_and_those_never_started_excluded() -> None:
    games = [game(1, 0, turns=0, failure="not built"), game(2, 4), game(3, 6, turns=2, failure="broke at turn 3")]
    evaluation = compute_statistics(games, [])
    assert (evaluation.episodes, evaluation.mean) == (2, 5)
    assert (evaluation.faults, evaluation.first_fault) == (2, "not built")


def test_a_game_over_before_its_first_turn_is_a_game() -> None:
    assert compute_statistics([game(1, 0, turns=0)], []).episodes == 1


def test_not_one_game_is_an_error() -> None:
    with pytest.raises(GameFailedError, match="not built"):
        compute_statistics([game(1, 0, turns=0, failure="not built")], [])


def test_keys_that_differ_between_games_are_telling_and_the_reward_is_not() -> None:
    games = [game(1, 0, score=1, level=1, width=9), game(2, 0, score=2, level=2, width=9, late=1)]
    assert find_varying_keys(games, "score") == {"level"}
    assert find_varying_keys([], "score") == set()
