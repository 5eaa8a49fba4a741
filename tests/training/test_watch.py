"""What the watch says, and when it keeps silent."""

from __future__ import annotations

import pytest

from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.training.watch import FEWEST_UPDATES, Watch

ACTIONS = ("KEY_LEFT", "KEY_RIGHT")


def play(watch: Watch, settings: Hyperparameters, rewards: list[float], first: int = 0) -> list[str]:
    """Complete an episode for each reward, as a run would, and return what was said."""
    said = []
    for index, reward in enumerate(rewards):
        epsilon = max(settings.epsilon_min, settings.epsilon * settings.epsilon_decay ** (first + index))
        watch.add_episode(reward, epsilon)
        said += watch.check(first + index + 1)
    return said


def learn(watch: Watch, updates: int = FEWEST_UPDATES) -> None:
    """Do so many updates in which nothing is remarkable."""
    for _ in range(updates):
        watch.add_update(0.1, largest_q=1.0)


@pytest.fixture
def settings() -> Hyperparameters:
    return Hyperparameters(training_episodes=1000)


@pytest.fixture
def watch(settings: Hyperparameters) -> Watch:
    return Watch(settings, ACTIONS)


def test_play_that_gets_better_is_left_alone(watch: Watch, settings: Hyperparameters) -> None:
    watch.add_play({0: 3000, 1: 3000, 2: 3000}, largest_reward=5.0)
    watch.add_update(0.1, largest_q=20.0)
    assert play(watch, settings, [float(i % 7 + i / 10) for i in range(600)]) == []


def test_play_no_better_than_random_is_said_once(watch: Watch, settings: Hyperparameters) -> None:
    learn(watch)
    watch.add_play({}, largest_reward=1.0)
    said = play(watch, settings, [float(i % 7) for i in range(900)])
    assert len(said) == 1
    assert "no better than random" in said[0]
    assert "After 300 episodes" in said[0]


def test_a_learner_that_has_hardly_begun_is_given_half_of_the_episodes(watch: Watch, settings: Hyperparameters) -> None:
    learn(watch, FEWEST_UPDATES - 1)
    watch.add_play({}, largest_reward=1.0)
    (said,) = play(watch, settings, [float(i % 7) for i in range(900)])
    assert "After 500 episodes" in said


def test_an_early_floor_of_epsilon_is_named_as_the_reason(settings: Hyperparameters) -> None:
    long = Hyperparameters(training_episodes=100_000)
    watch = Watch(long, ACTIONS)
    learn(watch)
    watch.add_play({}, largest_reward=1.0)
    said = play(watch, long, [float(i % 7) for i in range(700)])
    assert len(said) == 1
    assert "epsilon_decay" not in said[0]  # at 300 episodes epsilon was still falling
    watch = Watch(long, ACTIONS)
    learn(watch)
    watch.add_play({}, largest_reward=1.0)
    for i in range(30):
        watch.add_episode(float(i % 7), epsilon=1.0)
    for i in range(100):
        watch.add_episode(float(i % 7), epsilon=0.05)
    assert "epsilon reached its floor at episode 598" in watch.check(700)[0]


def test_a_reward_that_never_changes(watch: Watch, settings: Hyperparameters) -> None:
    said = play(watch, settings, [0.0] * 400)
    assert len(said) == 1
    assert "has not changed once in 100 episodes" in said[0]


def test_a_loss_that_runs_away(watch: Watch, settings: Hyperparameters) -> None:
    watch.add_play({}, largest_reward=1.0)
    said = []
    for window, loss in enumerate([0.1, 0.2, 0.15, 0.12, 50.0]):
        watch.add_update(loss, largest_q=1.0)
        said += play(watch, settings, [float(window)] * 100, first=window * 100)
    assert [s for s in said if "running away" in s] == [
        "The loss is running away: 50 against 0.135 before. Try learning_rate = 0.00033 or target_update_freq = 500."
    ]


def test_values_beyond_what_rewards_allow(watch: Watch, settings: Hyperparameters) -> None:
    watch.add_play({}, largest_reward=2.0)
    bound = 2.0 / (1 - settings.gamma)
    watch.add_update(0.1, largest_q=1.9 * bound)
    assert play(watch, settings, [1.0, 2.0] * 50) == []
    watch.add_update(0.1, largest_q=2.1 * bound)
    said = play(watch, settings, [1.0, 2.0] * 50, first=100)
    assert len(said) == 1
    assert "more than 200" in said[0]


def test_one_action_chosen_always(watch: Watch, settings: Hyperparameters) -> None:
    watch.add_play({2: 2990, 0: 10}, largest_reward=1.0)
    said = play(watch, settings, [1.0, 2.0] * 50)
    assert len(said) == 1
    assert "chose doing nothing in 100% of its last 3000 choices" in said[0]
    balanced = Watch(settings, ACTIONS)
    balanced.add_play({2: 2900, 0: 100}, largest_reward=1.0)
    assert play(balanced, settings, [1.0, 2.0] * 50) == []


def test_exploration_that_will_not_end(settings: Hyperparameters) -> None:
    short = Hyperparameters(training_episodes=100)
    said = Watch(short, ACTIONS).foresee(0)
    assert len(said) == 1
    assert "0.61 at episode 100" in said[0]
    assert "epsilon_decay = 0.9705" in said[0]
    assert Watch(settings, ACTIONS).foresee(0) == []
    assert Watch(short, ACTIONS).foresee(100) == []
