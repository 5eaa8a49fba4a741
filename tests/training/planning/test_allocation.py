from __future__ import annotations

import math
from typing import Any

import pytest

from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.training.loop.schedules import TurnsPerUpdate
from retro_gamer.training.planning.allocation import (
    Allocation,
    ServiceTimes,
    allocate,
    most_learner_threads,
    useful_actors,
)

EQUAL = ServiceTimes(turn=1e-4, update=4e-4)
"""With 4 turns an update, one actor plays exactly as fast as the learner follows."""


def plan(times: ServiceTimes = EQUAL, n_cpus: int = 4, n_actors: int | None = None, **settings: Any) -> Allocation:
    return allocate(Hyperparameters.from_mapping(settings), times, n_cpus, n_actors)


@pytest.mark.parametrize(
    ("turn", "update", "train_every", "expected"),
    [
        (1e-4, 4e-4, 4, 2),  # half as fast again as needed
        (1e-4, 1.0, 4, 1),
        (1e-2, 1e-2, 4, 6),
        (1e-2, 1e-2, 8, 12),
        (2e-2, 1e-2, 4, 12),
    ],
)
def test_slow_turns_and_fast_updates_keep_more_actors_busy(
    turn: float, update: float, train_every: int, expected: int
) -> None:
    settings = Hyperparameters(train_every=train_every)
    assert useful_actors(settings, ServiceTimes(turn=turn, update=update)) == expected


@pytest.mark.parametrize(("n_cpus", "expected"), [(1, 1), (2, 1), (4, 3), (64, 6)])
def test_by_itself_a_plan_takes_the_useful_actors_that_have_a_core(n_cpus: int, expected: int) -> None:
    assert plan(ServiceTimes(turn=1e-2, update=1e-2), n_cpus).n_actors == expected


def test_actors_asked_for_are_given() -> None:
    assert plan(n_cpus=1, n_actors=5).n_actors == 5


@pytest.mark.parametrize("n_actors", [1, 3, 40])
@pytest.mark.parametrize("settings", [{}, {"train_every": 1}, {"train_every": 1000}, {"games_per_actor": 1024}])
def test_every_actor_can_have_a_grant_out_before_the_band_ends(n_actors: int, settings: dict[str, Any]) -> None:
    made = plan(n_actors=n_actors, **settings)
    ratio = TurnsPerUpdate(Hyperparameters.from_mapping(settings), made.dead_band_turns)
    assert ratio.turns_allowed((n_actors - 1) * made.grant_turns) >= made.grant_turns
    assert made.grant_turns >= made.games_per_actor
    assert 1 <= made.block_turns <= made.grant_turns
    assert made.dead_band_turns >= 2 * Hyperparameters.from_mapping(settings).train_every


def test_no_actors_is_one_game_in_this_process_without_a_clock() -> None:
    made = allocate(Hyperparameters(), ServiceTimes(turn=math.nan, update=math.nan), 8, 0)
    assert (made.n_actors, made.games_per_actor, made.learner_threads) == (0, 1, 1)
    assert made.grant_seconds == math.inf
    assert "bit for bit" in made.reasons[0]


@pytest.mark.parametrize(("n_cpus", "expected"), [(1, 1), (2, 1), (4, 3), (16, 4)])
def test_the_learner_takes_the_threads_that_pay_and_leaves_the_actors_a_core(n_cpus: int, expected: int) -> None:
    assert plan(ServiceTimes(turn=1e-4, update=1e-3, learner_threads=4), n_cpus).learner_threads == expected


def test_a_learner_tries_no_more_threads_than_there_are_cores_beside_an_actor() -> None:
    assert [most_learner_threads(n) for n in (1, 2, 4, 64)] == [1, 1, 3, 8]


def test_the_reasons_name_what_was_measured_and_how_many_actors_pay() -> None:
    text = " ".join(plan(ServiceTimes(turn=1e-2, update=5e-3), n_cpus=2).reasons)
    for part in ("1 actor playing 8 games, learner", "10000 microseconds", "5.0 milliseconds", "keeps 12 actors busy"):
        assert part in text


def test_a_turn_that_could_not_be_measured_does_not_stop_the_plan() -> None:
    assert plan(ServiceTimes(turn=math.inf, update=1e-3), n_cpus=4).n_actors == 3
