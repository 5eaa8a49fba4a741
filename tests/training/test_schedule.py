from __future__ import annotations

import pytest

from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.training.loop.schedules import epsilon_after, learning_rate_after


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
