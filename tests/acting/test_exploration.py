from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from retro_gamer.acting.exploration import ALL, Exploration, best_of, is_settled
from tests.learning.samples import make_settings

N = 20_000
Q = np.array([0.5, 2.0, -1.0, 1.0], dtype=np.float32)
BEST_FIRST = [1, 3, 0, 2]


def shares(exploration: Exploration, *, game: int = 0, is_informed: bool = True) -> list[float]:
    """Return how often each action is taken by the Q-values above, the best first."""
    generator = random.Random(7)
    taken = Counter(best_of(exploration.draw(game, generator, is_informed=is_informed), Q) for _ in range(N))
    return [taken[action] / N for action in BEST_FIRST]


def make(n_games: int = 1, epsilon: float = 1.0, **settings: float) -> Exploration:
    exploration = Exploration(make_settings(**settings), n_games, len(Q))
    exploration.set_epsilon(epsilon)
    return exploration


def test_without_exploration_it_is_the_best_of_all() -> None:
    exploration = make(epsilon=0.0)
    assert exploration.draw(0, random.Random(1), is_informed=True) == ALL
    assert shares(exploration) == [1, 0, 0, 0]


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_a_random_action_is_the_best_of_those_drawn(draws: int) -> None:
    # The best of k out of n is worse than r others with probability ((n - r) / n) ** k.
    expected = [((4 - r) / 4) ** draws - ((3 - r) / 4) ** draws for r in range(4)]
    assert shares(make(exploration_draws=draws)) == pytest.approx(expected, abs=0.015)


def test_by_default_the_worst_is_tried_a_sixteenth_of_the_time() -> None:
    assert shares(make()) == pytest.approx([7 / 16, 5 / 16, 3 / 16, 1 / 16], abs=0.015)
    assert shares(make(epsilon=0.5)) == pytest.approx([23 / 32, 5 / 32, 3 / 32, 1 / 32], abs=0.015)


def test_a_network_that_knows_nothing_has_no_say() -> None:
    exploration = make()
    assert all(is_settled(exploration.draw(0, random.Random(i), is_informed=False)) for i in range(50))
    assert shares(exploration, is_informed=False) == pytest.approx([0.25] * 4, abs=0.015)


def test_on_the_ladder_each_game_has_an_epsilon_of_its_own() -> None:
    exploration = make(n_games=3, epsilon=0.5, epsilon_ladder=2.0, exploration_draws=1)
    for game, epsilon in enumerate([0.5, 0.25, 0.125]):
        assert 1 - shares(exploration, game=game)[0] == pytest.approx(epsilon * 3 / 4, abs=0.015)


def test_a_draw_is_settled_if_it_leaves_no_choice() -> None:
    assert is_settled((3,))
    assert is_settled((2, 2))
    assert not is_settled((2, 3))
    assert not is_settled(ALL)
