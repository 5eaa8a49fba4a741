from __future__ import annotations

import math

import numpy as np
import pytest

from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.training.loop.schedules import TurnsPerUpdate, epsilon_after, learning_rate_after


def make_ratio(dead_band: int = 100, n_games: int = 1, **settings: int) -> TurnsPerUpdate:
    made = Hyperparameters.from_mapping({"train_every": 4, "learning_starts": 50, "batch_size": 8, **settings})
    return TurnsPerUpdate(made, dead_band, n_games)


def test_no_update_is_due_before_learning_starts() -> None:
    ratio = make_ratio()
    ratio.receive(53)
    assert ratio.updates_due == 0
    assert math.isnan(ratio.achieved)
    ratio.receive(54)
    assert ratio.updates_due == 1
    ratio.receive(90)
    assert ratio.updates_due == 10


def test_there_must_be_a_batch_in_memory_before_learning_starts() -> None:
    ratio = make_ratio(learning_starts=0, batch_size=64, n_step=3)
    ratio.receive(66)
    assert ratio.updates_due == 0
    ratio.receive(71)
    assert ratio.updates_due == 1


def test_some_game_must_have_lasted_for_an_experience_before_learning_starts() -> None:
    """Sixteen games of 40 turns each hold none of 40 turns, one turn more does."""
    ratio = make_ratio(n_games=16, n_step=40)
    ratio.receive(16 * 40 + 4)
    assert ratio.updates_due == 0
    ratio.receive(16 * 40 + 5)
    assert ratio.updates_due == 1
    ratio.refill()
    assert ratio.turns_allowed(0) == 100 + 16 * 40 + 1
    assert make_ratio(n_games=16, n_step=1).turns_allowed(0) == 150


def test_updates_done_are_not_due_again() -> None:
    ratio = make_ratio()
    ratio.receive(90)
    ratio.updates = 7
    assert ratio.updates_due == 3
    ratio.updates = 10
    assert ratio.updates_due == 0
    assert ratio.achieved == 4.0


def test_replays_counter_never_falls() -> None:
    ratio = make_ratio()
    ratio.receive(90)
    ratio.receive(0)
    assert ratio.turns == 90


def test_actors_wait_for_the_learner_within_the_dead_band() -> None:
    ratio = make_ratio(dead_band=100)
    assert ratio.turns_allowed(0) == 150
    assert ratio.turns_allowed(60) == 90
    ratio.receive(150)
    assert ratio.turns_allowed(0) == 0
    ratio.updates = 5
    assert ratio.turns_allowed(0) == 20
    assert ratio.turns_allowed(30) == 0


@pytest.mark.parametrize("train_every", [1, 4, 100])
def test_neither_side_gets_away_and_neither_gets_stuck(train_every: int) -> None:
    random = np.random.default_rng(train_every)
    dead_band, grant = 2 * 32 + 2 * train_every, 32
    ratio = make_ratio(dead_band, train_every=train_every)
    for _ in range(2000):
        allowed = ratio.turns_allowed(0)
        assert allowed > 0 or ratio.updates_due > 0
        if random.random() < 0.5:
            ratio.receive(ratio.turns + min(grant, allowed))
        elif ratio.updates_due:
            ratio.updates += int(random.integers(1, ratio.updates_due + 1))
        assert ratio.updates * train_every <= max(0, ratio.turns - 50)
        assert ratio.turns <= 50 + ratio.updates * train_every + dead_band
    assert ratio.achieved == pytest.approx(train_every, abs=dead_band / ratio.updates)


def play_on(ratio: TurnsPerUpdate, turns: int) -> None:
    """Receive turns and do every update they allow."""
    ratio.receive(ratio.turns + turns)
    ratio.updates += ratio.updates_due


@pytest.mark.parametrize("played", [10, 50, 53, 54, 1000, 1003])
def test_a_resumed_ratio_allows_what_the_first_would_have(played: int) -> None:
    first = make_ratio()
    play_on(first, played)
    first.receive(first.turns + 9)
    second = make_ratio()
    second.resume(first.turns, first.slack_turns)
    for _ in range(20):
        assert (second.updates_due, second.turns_allowed(0)) == (first.updates_due, first.turns_allowed(0))
        for ratio in (first, second):
            play_on(ratio, 7)


def test_another_number_of_turns_an_update_brings_no_burst() -> None:
    first = make_ratio(train_every=100)
    play_on(first, 100_000)
    second = make_ratio(train_every=1)
    second.resume(first.turns, first.slack_turns)
    assert second.updates_due < 100


@pytest.mark.parametrize("played", [10, 1000])
def test_a_memory_that_was_lost_is_filled_before_the_next_update(played: int) -> None:
    ratio = make_ratio()
    play_on(ratio, played)
    ratio.refill()
    updates = ratio.updates
    play_on(ratio, 53)
    assert ratio.updates == updates
    assert ratio.turns_allowed(0) == 97
    play_on(ratio, 1)
    assert ratio.updates == updates + 1
    play_on(ratio, 40)
    assert ratio.updates == updates + 11


def test_epsilon_is_multiplied_after_every_episode_down_to_its_floor() -> None:
    settings = Hyperparameters(epsilon=0.8, epsilon_decay=0.9, epsilon_min=0.1)
    epsilon = 0.8
    for episodes in range(60):
        assert epsilon_after(episodes, settings) == pytest.approx(max(epsilon, 0.1))
        epsilon *= 0.9
    assert epsilon_after(10**6, settings) == 0.1


def test_learning_rate_is_multiplied_after_every_episode_down_to_its_floor() -> None:
    settings = Hyperparameters(learning_rate=0.01, lr_decay=0.5, lr_min=0.001)
    found = [learning_rate_after(episodes, settings) for episodes in range(6)]
    assert found == pytest.approx([0.01, 0.005, 0.0025, 0.00125, 0.001, 0.001])


def test_a_floor_above_the_rate_does_not_raise_it() -> None:
    settings = Hyperparameters(learning_rate=0.00005, lr_min=0.0001)
    assert learning_rate_after(0, settings) == learning_rate_after(500, settings) == 0.00005


def test_a_decay_of_1_changes_nothing() -> None:
    settings = Hyperparameters(lr_decay=1.0, epsilon_decay=1.0)
    assert (learning_rate_after(9999, settings), epsilon_after(9999, settings)) == (0.001, 1.0)
