"""The figures of a run as it goes on: rates, means and the time left."""

from __future__ import annotations

import math
import time
from collections import deque

from retro_gamer.dqn.messages import Episode
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.training.plan import WorkPlan
from retro_gamer.training.progress import Progress
from retro_gamer.training.ratio import TurnsPerUpdate
from retro_gamer.training.schedule import epsilon_after, learning_rate_after

RECENT_EPISODES = 100
RATE_SECONDS = 10.0


class Figures:
    """Collects what episodes and updates say, for the log and for the display."""

    def __init__(self, settings: Hyperparameters, plan: WorkPlan, episodes: int, turns: int, updates: int) -> None:
        self._settings = settings
        self._plan = plan
        self._first_episode = episodes
        self._updates = updates
        self._rewards: deque[float] = deque(maxlen=RECENT_EPISODES)
        self._losses: deque[float] = deque(maxlen=RECENT_EPISODES)
        self._loss_sum = 0.0
        self._loss_count = 0
        self._began = time.monotonic()
        self._marks: deque[tuple[float, int, int]] = deque([(self._began, turns, updates)])

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since training began in this process."""
        return time.monotonic() - self._began

    def add_update(self, loss: float) -> None:
        """Take the loss of one update; nan for a skipped one, which counts for no mean."""
        self._updates += 1
        if math.isfinite(loss):
            self._losses.append(loss)
            self._loss_sum += loss
            self._loss_count += 1

    def add_episode(self, episode: Episode) -> None:
        """Take one completed episode."""
        self._rewards.append(episode.total_reward)

    def take_mean_loss(self) -> float:
        """Return the mean loss of the updates since this was last asked, nan if there were none."""
        mean = self._loss_sum / self._loss_count if self._loss_count else math.nan
        self._loss_sum, self._loss_count = 0.0, 0
        return mean

    def snapshot(self, episodes: int, turns: int, ratio: TurnsPerUpdate, limit_seconds: float) -> Progress:
        """Return where the run stands now."""
        now = time.monotonic()
        self._marks.append((now, turns, self._updates))
        while len(self._marks) > 2 and now - self._marks[1][0] > RATE_SECONDS:
            self._marks.popleft()
        then, turns_then, updates_then = self._marks[0]
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
            n_actors=self._plan.n_actors,
        )

    def _seconds_left(self, episodes: int, limit_seconds: float) -> float:
        """By episodes at the pace so far or by the time limit, whichever is first."""
        completed = episodes - self._first_episode
        elapsed = self.elapsed_seconds
        left = limit_seconds - elapsed
        if completed:
            left = min(left, elapsed / completed * (self._settings.training_episodes - episodes))
        return max(0.0, left) if math.isfinite(left) else math.nan


def _mean(values: deque[float]) -> float:
    return sum(values) / len(values) if values else math.nan
