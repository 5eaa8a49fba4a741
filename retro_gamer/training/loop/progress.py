"""The figures of a run as it goes on: rates, means and the time left."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from retro_gamer.acting.actor import Episode
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.training.loop.schedules import TurnsPerUpdate, epsilon_after, learning_rate_after
from retro_gamer.training.planning.allocation import Allocation

logger = logging.getLogger("retro_gamer")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands. Rates are per second, over the last few seconds."""

    episodes: int
    training_episodes: int
    turns: int
    updates: int
    turns_per_second: float
    updates_per_second: float
    mean_reward: float
    """Mean total reward of the last 100 episodes; nan before the first."""
    epsilon: float
    learning_rate: float
    loss: float
    """Mean loss of the latest updates; nan before the first."""
    turns_per_update: float
    """Achieved since the start; nan before the first update."""
    target_turns_per_update: int
    elapsed_seconds: float
    seconds_left: float
    """By episodes or by --minutes, whichever is first; nan while unknown."""
    n_actors: int
    present_actors: int = 0
    """Actors that have a process; the others wait for a place."""
    lost_actors: int = 0
    """Actors lost and replaced in this sitting."""
    policy_lag_updates: int = 0
    """Updates done between the weights that the latest report was played with and that report."""
    learner_wait_share: float = 0.0
    """Share of the last seconds in which the learner waited for turns or batches."""
    actor_wait_share: float = 0.0
    """Share of the actors present that had no grant, averaged over the last looks."""
    replay_turns: int = 0
    """Turns that replay received in this sitting."""


class Reporter(Protocol):
    """Receives what a run has to say, in the learner's thread."""

    def begin(self, text: str) -> None:
        """Take the description of what is about to run: the architecture and who does what."""

    def progress(self, progress: Progress) -> None:
        """Take the latest figures; called several times a second."""

    def note(self, text: str) -> None:
        """Take one remark, which also stands in training.log."""

    def close(self) -> None:
        """Make room for other output; nothing more will come."""


class LoggingReporter:
    """Reports through the `retro_gamer` logger: what a script or a notebook gets unless it brings its own."""

    def begin(self, text: str) -> None:
        """Log the description."""
        logger.info("%s", text)

    def progress(self, progress: Progress) -> None:
        """Log the figures, for whoever asks for that much."""
        logger.debug("%s", progress)

    def note(self, text: str) -> None:
        """Log the remark."""
        logger.warning("%s", text)

    def close(self) -> None:
        """Do nothing: a logger needs no room."""


RECENT_EPISODES = 100
RATE_SECONDS = 10.0
SMOOTHING = 0.1
"""Weight of the latest look at the actors in the average of those that wait."""


class ProgressMeter:
    """Collects what episodes and updates say, for the log and for the display."""

    def __init__(
        self,
        settings: Hyperparameters,
        plan: Allocation,
        episodes: int,
        turns: int,
        updates: int,
        recent_rewards: Sequence[float] = (),
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._first_episode = episodes
        self._updates = updates
        self._rewards: deque[float] = deque(recent_rewards, maxlen=RECENT_EPISODES)
        self._losses: deque[float] = deque(maxlen=RECENT_EPISODES)
        self._loss_sum = 0.0
        self._loss_count = 0
        self._began = time.monotonic()
        self._waited_seconds = 0.0
        self._marks: deque[tuple[float, int, int, float]] = deque([(self._began, turns, updates, 0.0)])
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
        """Total rewards of the last 100 episodes, those of earlier sittings included."""
        return tuple(self._rewards)

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

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time within as time in which the learner waits."""
        began = time.monotonic()
        yield
        self._waited_seconds += time.monotonic() - began

    def add_report(self, lag_updates: int) -> None:
        """Take the report of an actor whose weights were so many updates old."""
        self._lag_updates = lag_updates

    def add_loss_of_actor(self) -> None:
        """Take the loss of an actor."""
        self._lost_actors += 1

    def look_at_actors(self, present: int, idle: int) -> None:
        """Take how many actors are there, and how many of them have no grant."""
        self._present_actors = present
        share = idle / present if present else 1.0
        self._actor_wait_share += SMOOTHING * (share - self._actor_wait_share)

    def take_mean_loss(self) -> float:
        """Return the mean loss of the updates since this was last asked, nan if there were none."""
        mean = self._loss_sum / self._loss_count if self._loss_count else math.nan
        self._loss_sum, self._loss_count = 0.0, 0
        return mean

    def snapshot(self, episodes: int, turns: int, ratio: TurnsPerUpdate, limit_seconds: float) -> Progress:
        """Return where the run stands now."""
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
            n_actors=self._plan.n_actors,
            present_actors=self._present_actors,
            lost_actors=self._lost_actors,
            policy_lag_updates=self._lag_updates,
            learner_wait_share=min(1.0, (self._waited_seconds - waited_then) / seconds),
            actor_wait_share=self._actor_wait_share,
            replay_turns=ratio.turns,
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
