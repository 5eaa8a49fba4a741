"""How good a trained agent is: greedy games on seeds of their own, beside random play on the same seeds."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import random
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from retro_gamer.dqn.threads import set_threads
from retro_gamer.errors import GameFailedError
from retro_gamer.games.game_rules import finite_number
from retro_gamer.games.loading import load_factory
from retro_gamer.games.session import GameSession
from retro_gamer.policy import TrainedPolicy

GAMES_AT_A_TIME = 16
NORMAL_95 = 1.96

Chooser = Callable[[Sequence["SeededGame"]], Sequence[int]]
"""Takes the games that go on, returns an action index for each."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GameResult:
    """One game played to its end or its limit. `state` holds the numbers of the game's last state."""

    seed: int
    total_reward: float
    turns: int
    state: dict[str, float]
    fault: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Games of one player. `interval` is half the width of the 95% interval of the mean."""

    episodes: int
    mean: float
    interval: float
    median: float
    best: float
    worst: float
    mean_turns: float
    state_means: dict[str, float]
    faults: int


def summarise(results: Sequence[GameResult]) -> Evaluation:
    """Return the figures of some games (at least one)."""
    scores = [result.total_reward for result in results]
    spread = statistics.stdev(scores) if len(scores) > 1 else math.nan
    keys = sorted({key for result in results for key in result.state})
    return Evaluation(
        episodes=len(results),
        mean=statistics.fmean(scores),
        interval=NORMAL_95 * spread / math.sqrt(len(scores)),
        median=statistics.median(scores),
        best=max(scores),
        worst=min(scores),
        mean_turns=statistics.fmean(result.turns for result in results),
        state_means={key: statistics.fmean(r.state[key] for r in results if key in r.state) for key in keys},
        faults=sum(result.fault is not None for result in results),
    )


class SeededGame:
    """A game with a place of its own in the global generators: it goes the same way whoever plays beside it."""

    def __init__(self, session: GameSession, seed: int) -> None:
        self.session = session
        self.seed = seed
        self.generator = random.Random(seed)
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
    """Return the results of one game a seed, several in lock step, in the order of the seeds."""
    waiting = list(reversed(seeds))
    playing: list[SeededGame] = []
    results: dict[int, GameResult] = {}
    while waiting or playing:
        while waiting and len(playing) < GAMES_AT_A_TIME:
            playing.append(SeededGame(make_session(), waiting.pop()))
        going_on = []
        for game, action in zip(playing, choose(playing), strict=True):
            if game.step(action) and game.turns < max_turns:
                going_on.append(game)
            else:
                results[game.seed] = game.result()
        playing = going_on
    return [results[seed] for seed in seeds]


def choose_randomly(games: Sequence[SeededGame]) -> list[int]:
    """Return any action for each game, doing nothing among them."""
    return [game.generator.randrange(game.session.metadata.n_actions) for game in games]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """The games one process plays. `checkpoint` None plays at random."""

    run_dir: str
    checkpoint: str | None
    seeds: tuple[int, ...]
    max_turns: int


def play_share(share: Share) -> list[GameResult]:
    """Return the results of a share; runs in a process of its own."""
    set_threads(1)
    policy = TrainedPolicy(share.run_dir, share.checkpoint or "latest")
    source = policy.config.require_source()

    def make_session() -> GameSession:
        return GameSession(load_factory(source), policy.metadata, source)

    def choose_greedily(games: Sequence[SeededGame]) -> list[int]:
        return policy.choose_actions([game.session.game for game in games])

    choose = choose_randomly if share.checkpoint is None else choose_greedily
    return play_games(make_session, share.seeds, choose, share.max_turns)


def evaluate_checkpoints(
    run_dir: str, checkpoints: Sequence[str], *, episodes: int, seed: int, max_turns: int, n_processes: int
) -> dict[str | None, Evaluation]:
    """Return the figures of each checkpoint by name, and of random play (None), all on the same seeds.

    Raises:
        RetroGamerError: from whatever is wrong with the run or its game.
    """
    seeds = [seed * 1_000_003 + i for i in range(episodes)]
    n_shares = min(n_processes, episodes)
    shares = [
        Share(run_dir=run_dir, checkpoint=name, seeds=tuple(seeds[i::n_shares]), max_turns=max_turns)
        for name in (None, *checkpoints)
        for i in range(n_shares)
    ]
    results: dict[str | None, list[GameResult]] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=n_processes, mp_context=context) as pool:
        for share, played in zip(shares, pool.map(play_share, shares), strict=True):
            results.setdefault(share.checkpoint, []).extend(played)
    return {name: summarise(sorted(played, key=lambda r: r.seed)) for name, played in results.items()}
