"""Playing seeded games in lock step. Each game goes as it would alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from retro_gamer.errors import GameFailedError
from retro_gamer.evaluation.statistics import GameResult
from retro_gamer.games.observation import finite_number
from retro_gamer.games.session import GameSession, make_player_generator, seed_generators

GAMES_AT_A_TIME = 16

Chooser = Callable[[Sequence["SeededGame"]], Sequence[int]]
"""Returns an action for each of some games; raises GameFailedError if one of them cannot be observed."""


class SeededGame:
    """A game with its own state of the global random generators, so that games played beside it do not change it.

    The generators are seeded before the session is made, because a game's modules may use them while being imported.

    Raises:
        GameFailedError: if the game cannot be started.
    """

    def __init__(self, make_session: Callable[[], GameSession], seed: int) -> None:
        seed_generators(seed)
        session = self.session = make_session()
        self.seed = seed
        self.generator = make_player_generator(seed)
        self.total_reward = 0.0
        self.turns = 0
        self.failure: str | None = None
        session.seed(seed)
        session.start()
        self._save_generators()

    def step(self, action: int) -> bool:
        """Play one turn; return whether the game continues."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        try:
            turn = self.session.step(action)
        except GameFailedError as failure:
            self.failure = str(failure)
            return False
        self._save_generators()
        self.turns += 1
        self.total_reward += turn.reward
        return not turn.terminated

    def _save_generators(self) -> None:
        self._python = random.getstate()
        self._numpy: Any = np.random.get_state()

    def result(self) -> GameResult:
        """Return the result of the game so far."""
        numbers = {key: finite_number(value) for key, value in self.session.game.state.items()}
        return GameResult(
            seed=self.seed,
            total_reward=self.total_reward,
            turns=self.turns,
            state={str(key): value for key, value in numbers.items() if value is not None},
            failure=self.failure,
        )


def play_games(
    make_session: Callable[[], GameSession], seeds: Sequence[int], choose: Chooser, max_turns: int
) -> list[GameResult]:
    """Play one game per seed, several in lock step if they can share a process, and return their results in order."""
    waiting = list(reversed(seeds))
    playing: list[SeededGame] = []
    results: dict[int, GameResult] = {}
    while waiting or playing:
        while waiting and len(playing) < GAMES_AT_A_TIME and not (playing and playing[0].session.sharing):
            seed = waiting.pop()
            try:
                playing.append(SeededGame(make_session, seed))
            except GameFailedError as failure:
                results[seed] = GameResult(seed=seed, total_reward=0.0, turns=0, state={}, failure=str(failure))
        unfinished = []
        for game, action in zip(playing, _choose_each(choose, playing), strict=True):
            if action is not None and game.step(action) and game.turns < max_turns:
                unfinished.append(game)
            else:
                results[game.seed] = game.result()
        playing = unfinished
    return [results[seed] for seed in seeds]


def _choose_each(choose: Chooser, games: Sequence[SeededGame]) -> Sequence[int | None]:
    """Return an action for each game, or None for a game that cannot be observed and ends."""
    if not games:
        return ()
    try:
        return choose(games)
    except GameFailedError as failure:
        if len(games) == 1:
            games[0].failure = str(failure)
            return (None,)
        return [action for game in games for action in _choose_each(choose, [game])]


def choose_randomly(games: Sequence[SeededGame]) -> list[int]:
    """Return a random action for each game; pressing no key is one of them."""
    return [game.generator.randrange(game.session.metadata.n_actions) for game in games]
