"""Exploration: among which actions each game of an actor takes the best, all of them or a few drawn at random."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from retro_gamer.hyperparameters import Hyperparameters

ALL: tuple[int, ...] = ()
"""No exploration: the best of all actions."""


class Exploration:
    """Epsilon-greedy for several games, each with its own epsilon and its own random generator.

    The epsilons form a ladder: the last game explores with epsilon to the power of 1 + `epsilon_ladder`. (Horgan et
    al. 2018, "Distributed prioritized experience replay", section 4, has one epsilon for each actor.) A random action
    is the best, by the network, of `exploration_draws` drawn with replacement: the worst action is still tried, but
    rarely, so that games with exploration last nearly as long as games without.
    """

    def __init__(self, settings: Hyperparameters, n_games: int, n_actions: int) -> None:
        self._rungs = ladder(settings, n_games)
        self._epsilons = [1.0] * n_games
        self._n_draws = settings.exploration_draws
        self._n_actions = n_actions

    def set_epsilon(self, epsilon: float) -> None:
        """Set the epsilon of the first game; the others follow on the ladder."""
        self._epsilons = [epsilon**rung for rung in self._rungs]

    def draw(self, game: int, generator: random.Random, *, is_informed: bool) -> tuple[int, ...]:
        """Return the actions among which `game` takes the best: `ALL`, or some drawn at random, with replacement.

        Before the network is trained (`is_informed`) one is drawn: its values say nothing.
        """
        if generator.random() >= self._epsilons[game]:
            return ALL
        if not is_informed:
            return (int(generator.random() * self._n_actions),)
        return tuple([int(generator.random() * self._n_actions) for _ in range(self._n_draws)])


def ladder(settings: Hyperparameters, n_games: int) -> list[float]:
    """Return the power of epsilon for each of an actor's games."""
    return [1 + settings.epsilon_ladder * i / max(1, n_games - 1) for i in range(n_games)]


def is_settled(drawn: tuple[int, ...]) -> bool:
    """Return whether the choice among these actions needs no Q-values."""
    return len(set(drawn)) == 1


def best_of(drawn: Sequence[int], q: np.ndarray) -> int:
    """Return the action, of those drawn or of `ALL`, with the largest Q-value in float32 [A]."""
    return max(drawn, key=q.__getitem__) if drawn else int(q.argmax())
