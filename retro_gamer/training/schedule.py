"""What changes with every completed episode, as the reference says: epsilon and the learning rate."""

from __future__ import annotations

from retro_gamer.acting.exploration import ladder
from retro_gamer.hyperparameters import Hyperparameters


def epsilon_after(episodes: int, settings: Hyperparameters) -> float:
    """Return the exploration rate in force once `episodes` are completed."""
    return max(settings.epsilon_min, settings.epsilon * settings.epsilon_decay**episodes)


def share_of_exploration(epsilon: float, settings: Hyperparameters) -> float:
    """Return which share of the actions is random at `epsilon`: on a ladder most of an actor's games have less."""
    rungs = ladder(settings, settings.games_per_actor)
    return sum(epsilon**rung for rung in rungs) / len(rungs)


def learning_rate_after(episodes: int, settings: Hyperparameters) -> float:
    """Return the learning rate in force once `episodes` are completed.

    A floor above the initial rate does not raise it.
    """
    floor = min(settings.lr_min, settings.learning_rate)
    return max(floor, settings.learning_rate * settings.lr_decay**episodes)
