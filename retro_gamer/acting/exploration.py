"""Which actions the games of an actor may take this turn: the best of all, or one of a few drawn at random."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from retro_gamer.hyperparameters import Hyperparameters

ALL: tuple[int, ...] = ()
"""No exploration: the best of all actions."""


class Exploration:
    """Epsilon-greedy for several games, each with an epsilon of its own and a generator of its own.

    The games stand on a ladder: the last explores with epsilon to the power of 1 + `epsilon_ladder`. (Horgan et al.
    2018, "Distributed prioritized experience replay", section 4, has one epsilon for each actor.) A random action is
    the best, by the network, of `exploration_draws` drawn with replacement: what the network thinks worst is still
    tried, but seldom, so that an agent that explores gets nearly as far as one that does not.
    """

    def __init__(self, settings: Hyperparameters, n_games: int, n_actions: int) -> None:
        self._rungs = ladder(settings, n_games)
        self._epsilons = [1.0] * n_games
        self._n_draws = settings.exploration_draws
        self._n_actions = n_actions

    def set_epsilon(self, epsilon: float) -> None:
        """Explore from now on with this on the lowest rung."""
        self._epsilons = [epsilon**rung for rung in self._rungs]

    def draw(self, game: int, generator: random.Random, *, is_informed: bool) -> tuple[int, ...]:
        """Return the actions of which `game` takes the best: `ALL`, or some drawn at random, the same one maybe twice.

        Without an informed network there is nothing to choose by, and one is drawn.
        """
        if generator.random() >= self._epsilons[game]:
            return ALL
        if not is_informed:
            return (int(generator.random() * self._n_actions),)
        return tuple([int(generator.random() * self._n_actions) for _ in range(self._n_draws)])


def ladder(settings: Hyperparameters, n_games: int) -> list[float]:
    """Return the power of epsilon with which each of an actor's games explores."""
    return [1 + settings.epsilon_ladder * i / max(1, n_games - 1) for i in range(n_games)]


def is_settled(drawn: tuple[int, ...]) -> bool:
    """Return whether no network is needed to choose among the actions drawn."""
    return len(set(drawn)) == 1


def best_of(drawn: Sequence[int], q: np.ndarray) -> int:
    """Return the action drawn, or of `ALL`, whose Q-value in float32 [A] is largest."""
    return max(drawn, key=q.__getitem__) if drawn else int(q.argmax())
