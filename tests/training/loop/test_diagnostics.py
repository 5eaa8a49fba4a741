"""What the diagnostics remark, and when they keep silent."""

from __future__ import annotations

import pytest

from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.training.loop.diagnostics import FEWEST_UPDATES, Diagnostics

ACTIONS = ("KEY_LEFT", "KEY_RIGHT")


def play(diagnostics: Diagnostics, settings: Hyperparameters, rewards: list[float], first: int = 0) -> list[str]:
    """Complete an episode for each reward, as a run would, and return what was said."""
    said = []
    for index, reward in enumerate(rewards):
        epsilon = max(settings.epsilon_min, settings.epsilon * settings.epsilon_decay ** (first + index))
        diagnostics.add_episode(reward, epsilon)
        said += diagnostics.check(first + index + 1)
    return said


def learn(diagnostics: Diagnostics, updates: int = FEWEST_UPDATES) -> None:
    """Do so many updates in which nothing is remarkable."""
    for _ in range(updates):
        diagnostics.add_update(0.1, largest_q=1.0)


@pytest.fixture
def settings() -> Hyperparameters:
    return Hyperparameters(training_episodes=1000)


@pytest.fixture
def diagnostics(settings: Hyperparameters) -> Diagnostics:
    return Diagnostics(settings, ACTIONS)


def test_play_that_gets_better_is_left_alone(diagnostics: Diagnostics, settings: Hyperparameters) -> None:
    diagnostics.add_play({0: 3000, 1: 3000, 2: 3000}, largest_reward=5.0)
    diagnostics.add_update(0.1, largest_q=20.0)
    assert play(diagnostics, settings, [float(i % 7 + i / 10) for i in range(600)]) == []


def test_play_no_better_than_random_is_said_once(diagnostics: Diagnostics, settings: Hyperparameters) -> None:
    learn(diagnostics)
    diagnostics.add_play({}, largest_reward=1.0)
    said = play(diagnostics, settings, [float(i % 7) for i in range(900)])
    assert len(said) == 1
    assert "no better than random" in said[0]
    assert "After 300 episodes" in said[0]


def test_a_learner_that_has_hardly_begun_is_given_half_of_the_episodes(
    diagnostics: Diagnostics, settings: Hyperparameters
) -> None:
    learn(diagnostics, FEWEST_UPDATES - 1)
    diagnostics.add_play({}, largest_reward=1.0)
    (said,) = play(diagnostics, settings, [float(i % 7) for i in range(900)])
    assert "After 500 episodes" in said


def test_an_early_floor_of_epsilon_is_named_as_the_reason() -> None:
    long = Hyperparameters(training_episodes=100_000)
    diagnostics = Diagnostics(long, ACTIONS)
    learn(diagnostics)
    diagnostics.add_play({}, largest_reward=1.0)
    said = play(diagnostics, long, [float(i % 7) for i in range(700)])
    assert len(said) == 1
    assert "epsilon_decay" not in said[0]  # at 300 episodes epsilon was still falling
    diagnostics = Diagnostics(long, ACTIONS)
    learn(diagnostics)
    diagnostics.add_play({}, largest_reward=1.0)
    for i in range(30):
        diagnostics.add_episode(float(i % 7), epsilon=1.0)
    for i in range(100):
        diagnostics.add_episode(float(i % 7), epsilon=0.05)
    assert "Try epsilon_decay = 0.9999401 (epsilon reached its floor early, at episode 598" in diagnostics.check(700)[0]


def test_with_little_time_for_many_episodes_the_time_says_what_is_early() -> None:
    """700 episodes in half of the time: of 1,400 to come the 598th is not early."""
    long = Hyperparameters(training_episodes=100_000)
    diagnostics = Diagnostics(long, ACTIONS, seconds=240)
    diagnostics.add_play({}, largest_reward=1.0)
    for i in range(30):
        diagnostics.add_episode(float(i % 7), epsilon=1.0)
    learn(diagnostics)
    for i in range(100):
        diagnostics.add_episode(float(i % 7), epsilon=0.05)
    (said,) = diagnostics.check(700, elapsed_seconds=120)
    assert "no better than random" in said
    assert "epsilon_decay" not in said


@pytest.mark.parametrize(("decay", "floor_at"), [(0.9, 29), (0.97, 99)])
def test_epsilon_at_its_floor_before_anything_is_known_is_said_whatever_the_rewards(
    decay: float, floor_at: int
) -> None:
    fast = Hyperparameters(training_episodes=1000, epsilon_decay=decay)
    diagnostics = Diagnostics(fast, ACTIONS)
    diagnostics.add_play({}, largest_reward=1.0)
    said = []
    for i in range(300):
        learn(diagnostics, 12)  # updates an episode
        said += play(diagnostics, fast, [float(i)], first=i)
    assert len(said) == 1
    assert f"epsilon reached its floor at episode {floor_at}, after {12 * (floor_at + 1)} updates" in said[0]
    assert "Try epsilon_decay = 0.99403" in said[0]  # by episode 500


def test_rewards_before_anything_is_learned_are_what_later_ones_are_compared_with() -> None:
    """So with a decay by which epsilon is above 0.9 for ten episodes only."""
    fast = Hyperparameters(training_episodes=1000, epsilon_decay=0.99)
    diagnostics = Diagnostics(fast, ACTIONS)
    diagnostics.add_play({}, largest_reward=1.0)
    said = play(diagnostics, fast, [float(i % 7) for i in range(50)])
    learn(diagnostics)
    said += play(diagnostics, fast, [float(i % 7) for i in range(250)], first=50)
    assert len(said) == 1
    assert "After 300 episodes the last 100 are no better than random play" in said[0]


def test_a_resumed_run_is_judged_by_its_own_episodes() -> None:
    settings = Hyperparameters(training_episodes=1000)
    diagnostics = Diagnostics(settings, ACTIONS, first_episode=599, largest_reward=0.0)
    assert play(diagnostics, settings, [0.0], first=599) == []
    (said,) = play(diagnostics, settings, [0.0] * 100, first=600)
    assert "did not change once in 101 episodes" in said


@pytest.mark.parametrize(("known", "is_said"), [(50.0, False), (1.0, True), (None, False)])
def test_values_of_a_run_that_goes_on_are_held_against_all_its_rewards(known: float | None, is_said: bool) -> None:
    settings = Hyperparameters(training_episodes=1000)
    diagnostics = Diagnostics(settings, ACTIONS, first_episode=500, largest_reward=known)
    diagnostics.add_play({}, largest_reward=1.0)
    diagnostics.add_update(0.1, largest_q=1500.0)
    said = play(diagnostics, settings, [1.0, 2.0] * 50, first=500)
    assert [True for remark in said if "Q-values" in remark] == [True] * is_said
    assert diagnostics.largest_reward == max(known or 0.0, 1.0)


def test_a_reward_that_never_changes(diagnostics: Diagnostics, settings: Hyperparameters) -> None:
    said = play(diagnostics, settings, [0.0] * 400)
    assert len(said) == 1
    assert "did not change once in 100 episodes" in said[0]


def test_a_loss_that_runs_away(diagnostics: Diagnostics, settings: Hyperparameters) -> None:
    diagnostics.add_play({}, largest_reward=1.0)
    said = []
    for window, loss in enumerate([0.1, 0.2, 0.15, 0.12, 50.0]):
        diagnostics.add_update(loss, largest_q=1.0)
        said += play(diagnostics, settings, [float(window)] * 100, first=window * 100)
    assert [s for s in said if "diverges" in s] == [
        "The loss diverges: 50, up from 0.135. Try learning_rate = 0.00033 or target_update_freq = 500."
    ]


def test_a_loss_too_large_from_the_first(diagnostics: Diagnostics, settings: Hyperparameters) -> None:
    diagnostics.add_play({}, largest_reward=1.0)
    diagnostics.add_update(1000.0, largest_q=1.0)
    (said,) = play(diagnostics, settings, [1.0, 2.0] * 50)
    assert "The loss, 1e+03, is larger than the rewards allow" in said


def test_a_loss_that_grows_with_the_first_large_reward_is_what_learning_it_looks_like(
    diagnostics: Diagnostics, settings: Hyperparameters
) -> None:
    said = []
    for window, (loss, reward) in enumerate([(0.001, 1.0), (0.001, 1.0), (0.001, 1.0), (1.2, 1000.0)]):
        diagnostics.add_play({}, largest_reward=reward)
        diagnostics.add_update(loss, largest_q=1.0)
        said += play(diagnostics, settings, [float(window)] * 100, first=window * 100)
    assert said == []


def test_values_beyond_what_rewards_allow(diagnostics: Diagnostics, settings: Hyperparameters) -> None:
    diagnostics.add_play({}, largest_reward=2.0)
    bound = 2.0 / (1 - settings.gamma)
    diagnostics.add_update(0.1, largest_q=1.9 * bound)
    assert play(diagnostics, settings, [1.0, 2.0] * 50) == []
    diagnostics.add_update(0.1, largest_q=2.1 * bound)
    said = play(diagnostics, settings, [1.0, 2.0] * 50, first=100)
    assert len(said) == 1
    assert "more than 200" in said[0]


def test_one_action_chosen_always(diagnostics: Diagnostics, settings: Hyperparameters) -> None:
    diagnostics.add_play({2: 2990, 0: 10}, largest_reward=1.0)
    said = play(diagnostics, settings, [1.0, 2.0] * 50)
    assert len(said) == 1
    assert "chose doing nothing in 100% of its last 3000 choices" in said[0]
    balanced = Diagnostics(settings, ACTIONS)
    balanced.add_play({2: 2900, 0: 100}, largest_reward=1.0)
    assert play(balanced, settings, [1.0, 2.0] * 50) == []


def test_one_action_is_seen_where_episodes_are_short(diagnostics: Diagnostics, settings: Hyperparameters) -> None:
    said = []
    for window in range(3):
        diagnostics.add_play({0: 900}, largest_reward=1.0)
        said += play(diagnostics, settings, [1.0, 2.0] * 50, first=window * 100)
    assert len(said) == 1
    assert "chose KEY_LEFT in 100% of its last 2700 choices" in said[0]
    assert "epsilon_min = 0.1" in said[0]


@pytest.mark.parametrize(("floor", "more"), [(0.05, "epsilon_min = 0.2"), (0.15, "epsilon_min = 0.3"), (0.4, None)])
def test_more_exploration_is_more_than_there_is(floor: float, more: str | None) -> None:
    settings = Hyperparameters(training_episodes=1000, epsilon_min=floor)
    said = [text for text in play(Diagnostics(settings, ACTIONS), settings, [0.0] * 100) if "did not change" in text]
    assert (more or "epsilon_min") in said[0] if more else "epsilon_min" not in said[0]


def foreseen(**given: float) -> list[str]:
    return list(Diagnostics(Hyperparameters(**given), ACTIONS).foresee())  # type: ignore[arg-type]


def test_exploration_that_will_not_end(settings: Hyperparameters) -> None:
    (said,) = foreseen(training_episodes=100)
    assert "0.61 at episode 100" in said
    assert "epsilon_decay = 0.9705" in said
    assert foreseen(training_episodes=1000) == []
    assert list(Diagnostics(Hyperparameters(training_episodes=100), ACTIONS, first_episode=100).foresee()) == []
    (said,) = foreseen(training_episodes=1_000_000, epsilon_decay=1.0)
    assert "epsilon_decay = 0.999997 or" in said
    (said,) = foreseen(training_episodes=1000, epsilon_min=0.5)
    assert "Try epsilon_min = 0.05." in said


def test_on_a_ladder_most_games_explore_less_than_epsilon_says() -> None:
    assert len(foreseen(training_episodes=1000, epsilon=0.4, epsilon_decay=1.0)) == 1
    assert foreseen(training_episodes=1000, epsilon=0.4, epsilon_decay=1.0, epsilon_ladder=7.0) == []


def test_time_that_is_over_while_much_is_random() -> None:
    many = Hyperparameters(training_episodes=100_000)
    diagnostics = Diagnostics(many, ACTIONS, seconds=240)
    assert list(diagnostics.foresee()) == []
    assert diagnostics.conclude(0) == []
    (said,) = diagnostics.conclude(60)
    assert "epsilon is still 0.74 at the end, episode 60" in said
    assert "Try epsilon_decay = 0.905 or more minutes" in said
    assert Diagnostics(many, ACTIONS, seconds=240).conclude(600) == []


def test_a_learning_rate_at_its_floor_from_the_first() -> None:
    (said,) = foreseen(training_episodes=1000, learning_rate=0.0001)
    assert "lr_decay has no effect" in said
    assert "lr_min = 1e-05" in said
    assert foreseen(training_episodes=1000, learning_rate=0.0001, lr_decay=1.0) == []
    assert foreseen(training_episodes=1000, learning_rate=0.0001, lr_min=0.0) == []
