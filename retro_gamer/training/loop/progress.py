"""The progress meter: rates, means and the time left of a run."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Iterator

from retro_gamer.acting.actor import Episode
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.run.events import Progress
from retro_gamer.training.loop.checkpointing import Counters
from retro_gamer.training.loop.schedules import TurnsPerUpdate, epsilon_after, learning_rate_after

RECENT = 100
RATE_SECONDS = 10.0
SMOOTHING = 0.1
"""Weight of the latest sample in the moving average of the actors that wait."""


class ProgressMeter:
    """Measures a run: for the lines of training.log, and as `Progress`."""

    def __init__(self, settings: Hyperparameters, n_actors: int, start: Counters, updates: int) -> None:
        self._settings = settings
        self._n_actors = n_actors
        self._first_episode = start.episodes
        self._updates = updates
        self._rewards: deque[float] = deque(start.recent_rewards, maxlen=RECENT)
        self._losses: deque[float] = deque(maxlen=RECENT)
        self._loss_sum = 0.0
        self._loss_count = 0
        self._began = time.monotonic()
        self._waited_seconds = 0.0
        self._marks: deque[tuple[float, int, int, float]] = deque([(self._began, start.turns, updates, 0.0)])
        self._present_actors = 0
        self._lost_actors = 0
        self._lag_updates = 0
        self._actor_wait_share = 0.0

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since training began in this process."""
        return time.monotonic() - self._began

    @property
    def recent_rewards(self) -> tuple[float, ...]:
        """Total rewards of the last 100 episodes, also those before the run was resumed."""
        return tuple(self._rewards)

    def add_update(self, loss: float) -> None:
        """Add the loss of one update; nan for a skipped one, which no mean counts."""
        self._updates += 1
        if math.isfinite(loss):
            self._losses.append(loss)
            self._loss_sum += loss
            self._loss_count += 1

    def add_episode(self, episode: Episode) -> None:
        """Add one completed episode."""
        self._rewards.append(episode.total_reward)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time within as waiting time of the learner."""
        began = time.monotonic()
        yield
        self._waited_seconds += time.monotonic() - began

    def add_report(self, lag_updates: int) -> None:
        """Add the report of an actor whose weights were so many updates old."""
        self._lag_updates = lag_updates

    def add_lost_actor(self) -> None:
        """Count an actor that was lost."""
        self._lost_actors += 1

    def sample_actors(self, present: int, idle: int) -> None:
        """Add a sample of how many actors are present, and how many of these have no grant."""
        self._present_actors = present
        share = idle / present if present else 1.0
        self._actor_wait_share += SMOOTHING * (share - self._actor_wait_share)

    def pop_mean_loss(self) -> float:
        """Return the mean loss of the updates since the last call, nan if there were none."""
        mean = self._loss_sum / self._loss_count if self._loss_count else math.nan
        self._loss_sum, self._loss_count = 0.0, 0
        return mean

    def snapshot(self, episodes: int, turns: int, ratio: TurnsPerUpdate, limit_seconds: float) -> Progress:
        """Return the progress at this moment."""
        now = time.monotonic()
        self._marks.append((now, turns, self._updates, self._waited_seconds))
        while len(self._marks) > 2 and now - self._marks[1][0] > RATE_SECONDS:
            self._marks.popleft()
        then, turns_then, updates_then, waited_then = self._marks[0]
        seconds = max(now - then, 1e-9)
        return Progress(
            episodes=episodes,
            training_episodes=self._settings.training_episodes,
            turns=turns,
            updates=self._updates,
            turns_per_second=(turns - turns_then) / seconds,
            updates_per_second=(self._updates - updates_then) / seconds,
            mean_reward=_mean(self._rewards),
            epsilon=epsilon_after(episodes, self._settings),
            learning_rate=learning_rate_after(episodes, self._settings),
            loss=_mean(self._losses),
            turns_per_update=ratio.achieved,
            target_turns_per_update=self._settings.train_every,
            elapsed_seconds=self.elapsed_seconds,
            seconds_left=self._seconds_left(episodes, limit_seconds),
            n_actors=self._n_actors,
            present_actors=self._present_actors,
            lost_actors=self._lost_actors,
            policy_lag_updates=self._lag_updates,
            learner_wait_share=min(1.0, (self._waited_seconds - waited_then) / seconds),
            actor_wait_share=self._actor_wait_share,
            replay_turns=ratio.turns,
        )

    def _seconds_left(self, episodes: int, limit_seconds: float) -> float:
        """Return the time until the last episode, at the pace so far, or until the time limit if that is first."""
        completed = episodes - self._first_episode
        elapsed = self.elapsed_seconds
        left = limit_seconds - elapsed
        if completed:
            left = min(left, elapsed / completed * (self._settings.training_episodes - episodes))
        return max(0.0, left) if math.isfinite(left) else math.nan


def _mean(values: deque[float]) -> float:
    return sum(values) / len(values) if values else math.nan
