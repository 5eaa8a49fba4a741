"""Playing seeded games in lock step, each as it would go if it were played alone."""

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
"""Takes the games that go on, returns an action index for each; raises GameFailedError if one cannot be looked at."""


class SeededGame:
    """A game with a place of its own in the global generators: it goes the same way whoever plays beside it.

    They are seeded before the session is made, too: a game's modules may draw while they are loaded.

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
        self.fault: str | None = None
        session.seed(seed)
        session.start()
        self._keep_generators()

    def step(self, action: int) -> bool:
        """Play one turn; return whether the game goes on."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        try:
            turn = self.session.step(action)
        except GameFailedError as failure:
            self.fault = str(failure)
            return False
        self._keep_generators()
        self.turns += 1
        self.total_reward += turn.reward
        return not turn.terminated

    def _keep_generators(self) -> None:
        self._python = random.getstate()
        self._numpy: Any = np.random.get_state()

    def result(self) -> GameResult:
        """Return how the game went."""
        numbers = {key: finite_number(value) for key, value in self.session.game.state.items()}
        return GameResult(
            seed=self.seed,
            total_reward=self.total_reward,
            turns=self.turns,
            state={str(key): value for key, value in numbers.items() if value is not None},
            fault=self.fault,
        )


def play_games(
    make_session: Callable[[], GameSession], seeds: Sequence[int], choose: Chooser, max_turns: int
) -> list[GameResult]:
    """Return the results of one game a seed, several in lock step if they may share a process, in the seeds' order."""
    waiting = list(reversed(seeds))
    playing: list[SeededGame] = []
    results: dict[int, GameResult] = {}
    while waiting or playing:
        while waiting and len(playing) < GAMES_AT_A_TIME and not (playing and playing[0].session.sharing):
            seed = waiting.pop()
            try:
                playing.append(SeededGame(make_session, seed))
            except GameFailedError as failure:
                results[seed] = GameResult(seed=seed, total_reward=0.0, turns=0, state={}, fault=str(failure))
        going_on = []
        for game, action in zip(playing, _choose_each(choose, playing), strict=True):
            if action is not None and game.step(action) and game.turns < max_turns:
                going_on.append(game)
            else:
                results[game.seed] = game.result()
        playing = going_on
    return [results[seed] for seed in seeds]


def _choose_each(choose: Chooser, games: Sequence[SeededGame]) -> Sequence[int | None]:
    """Return an action for each game, None for one that cannot be looked at, which is its end."""
    if not games:
        return ()
    try:
        return choose(games)
    except GameFailedError as failure:
        if len(games) == 1:
            games[0].fault = str(failure)
            return (None,)
        return [action for game in games for action in _choose_each(choose, [game])]


def choose_randomly(games: Sequence[SeededGame]) -> list[int]:
    """Return any action for each game, doing nothing among them."""
    return [game.generator.randrange(game.session.metadata.n_actions) for game in games]
