"""What a run says while it goes on, and who listens."""

from __future__ import annotations

import dataclasses
import logging
from typing import Protocol

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
