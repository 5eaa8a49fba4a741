from __future__ import annotations

import math
from typing import Any

import pytest

from retro_gamer.acting.actor import Episode
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.training.loop import progress
from retro_gamer.training.loop.checkpointing import Counters
from retro_gamer.training.loop.progress import ProgressMeter
from retro_gamer.training.loop.schedules import TurnsPerUpdate

SETTINGS = Hyperparameters(training_episodes=50, epsilon_decay=0.9, train_every=4)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def make_meter(episodes: int = 0, turns: int = 0, updates: int = 0) -> ProgressMeter:
    return ProgressMeter(SETTINGS, 3, Counters(episodes=episodes, turns=turns), updates)


def snapshot(meter: ProgressMeter, episodes: int, turns: int, limit: float = math.inf) -> Any:
    return meter.snapshot(episodes, turns, TurnsPerUpdate(SETTINGS, 100), limit)


def episode(total_reward: float) -> Episode:
    return Episode(ticket=1, total_reward=total_reward, turns=3, truncated=False)


@pytest.mark.usefixtures("clock")
def test_the_mean_loss_is_that_of_the_updates_since_it_was_last_asked() -> None:
    meter = make_meter()
    assert math.isnan(meter.pop_mean_loss())
    for loss in (1.0, 2.0, math.nan, 6.0):
        meter.add_update(loss)
    assert meter.pop_mean_loss() == 3.0
    assert math.isnan(meter.pop_mean_loss())
    meter.add_update(0.5)
    assert meter.pop_mean_loss() == 0.5


@pytest.mark.usefixtures("clock")
def test_the_mean_reward_of_a_run_that_goes_on_counts_the_episodes_before() -> None:
    meter = ProgressMeter(SETTINGS, 3, Counters(episodes=200, turns=600, recent_rewards=(9.0,) * 100), 10)
    assert snapshot(meter, 200, 600).mean_reward == 9
    for _ in range(25):
        meter.add_episode(episode(1.0))
    assert snapshot(meter, 225, 700).mean_reward == (75 * 9 + 25) / 100
    assert meter.recent_rewards == (*[9.0] * 75, *[1.0] * 25)


@pytest.mark.usefixtures("clock")
def test_the_mean_reward_is_that_of_the_last_100_episodes() -> None:
    meter = make_meter()
    assert math.isnan(snapshot(meter, 0, 0).mean_reward)
    for reward in range(150):
        meter.add_episode(episode(reward))
    assert snapshot(meter, 150, 0).mean_reward == sum(range(50, 150)) / 100


def test_rates_are_those_of_the_last_seconds(clock: Clock) -> None:
    meter = make_meter(turns=500, updates=20)
    for second in range(1, 41):
        clock.now = 1000.0 + second
        speed = 100 if second <= 20 else 10
        for _ in range(speed // 10):
            meter.add_update(1.0)
        turns = 500 + sum(100 if s <= 20 else 10 for s in range(1, second + 1))
        found = snapshot(meter, 0, turns)
        if second in (10, 20):
            assert (found.turns_per_second, found.updates_per_second) == pytest.approx((100, 10))
    assert (found.turns_per_second, found.updates_per_second) == pytest.approx((10, 1))
    assert found.elapsed_seconds == 40
    assert found.updates == 20 + 20 * 10 + 20


def test_the_time_left_goes_by_episodes_or_by_the_limit_whichever_is_first(clock: Clock) -> None:
    meter = make_meter(episodes=10)
    assert math.isnan(snapshot(meter, 10, 0).seconds_left)
    assert snapshot(meter, 10, 0, limit=600).seconds_left == 600
    clock.now += 60
    assert snapshot(meter, 20, 0).seconds_left == pytest.approx(180)  # 10 episodes a minute, 30 to go
    assert snapshot(meter, 20, 0, limit=100).seconds_left == pytest.approx(40)
    clock.now += 100
    assert snapshot(meter, 20, 0, limit=100).seconds_left == 0


@pytest.mark.usefixtures("clock")
def test_a_snapshot_says_where_the_run_stands() -> None:
    meter = make_meter(episodes=2)
    meter.add_update(4.0)
    found = snapshot(meter, 3, 70)
    assert (found.episodes, found.training_episodes, found.turns, found.n_actors) == (3, 50, 70, 3)
    assert found.epsilon == pytest.approx(0.9**3)
    assert found.learning_rate == pytest.approx(0.001 * 0.995**3)
    assert found.loss == 4.0
    assert found.target_turns_per_update == 4
    assert math.isnan(found.turns_per_update)


def test_waits_lags_and_losses_are_counted(clock: Clock) -> None:
    meter = make_meter()
    with meter.waiting():
        clock.now += 3
    clock.now += 1
    meter.add_report(7)
    for _ in range(3):
        meter.add_lost_actor()
    for _ in range(200):
        meter.sample_actors(present=4, idle=1)
    shown = snapshot(meter, 0, 0)
    assert (shown.present_actors, shown.lost_actors, shown.policy_lag_updates) == (4, 3, 7)
    assert shown.learner_wait_share == pytest.approx(0.75)
    assert shown.actor_wait_share == pytest.approx(0.25)
