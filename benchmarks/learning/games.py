"""The games of the learning benchmark, what is rewarded in each, and the yardsticks: random keys and experts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks.learning.experts import EXPERTS
from benchmarks.performance.run_specs import BEAST, NAV, SNAKE
from retro_gamer.evaluation.playing import SeededGame, choose_randomly, play_games
from retro_gamer.evaluation.pool import SEED_STRIDE
from retro_gamer.evaluation.statistics import Evaluation, compute_statistics
from retro_gamer.games.description import GameMetadata, find_description
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.session import GameSession

MAX_TURNS = 2000
GAMES = 100
SEED = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A game and the key of its state that is rewarded."""

    name: str
    game: str
    reward: str


TASKS = {
    task.name: task
    for task in (
        Task(name="snake-reward", game=SNAKE, reward="reward"),
        Task(name="snake-score", game=SNAKE, reward="score"),
        Task(name="nav-score", game=NAV, reward="score"),
        Task(name="beast-score", game=BEAST, reward="score"),
    )
}


def evaluation_seeds(games: int) -> list[int]:
    """Return the seeds that `retro-gamer evaluate` plays by default."""
    return [SEED * SEED_STRIDE + i for i in range(games)]


def measure_yardsticks(task: Task, games: int) -> dict[str, Any]:
    """Return the scores of random keys and, where there is one, of the expert, on the seeds of the evaluation."""
    source = find_source(task.game)
    metadata = dataclasses.replace(
        GameMetadata.from_mapping(find_description(source).values, task.game), reward=task.reward
    )

    def make_session() -> GameSession:
        return GameSession.load(source, metadata)

    def choose_expertly(playing: Sequence[SeededGame]) -> list[int]:
        choose, actions = EXPERTS[task.game], metadata.actions
        keys = [choose(game.session.game) for game in playing]
        return [len(actions) if key is None else actions.index(key) for key in keys]

    seeds = evaluation_seeds(games)
    found: dict[str, Any] = {
        "random": _plain(compute_statistics(play_games(make_session, seeds, choose_randomly, MAX_TURNS), ()))
    }
    if task.game in EXPERTS:
        found["expert"] = _plain(compute_statistics(play_games(make_session, seeds, choose_expertly, MAX_TURNS), ()))
    return found


def _plain(evaluation: Evaluation) -> dict[str, Any]:
    return {
        name: getattr(evaluation, name) for name in ("episodes", "mean", "interval", "median", "best", "mean_turns")
    }


def normalise(score: float, random: float, expert: float | None) -> float | None:
    """Return (agent - random) / (expert - random); None without an expert."""
    return None if expert is None else (score - random) / (expert - random)
