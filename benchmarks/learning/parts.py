"""The parts of `make learn`: each is one training and its evaluation, and leaves one result file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.child import run_module
from benchmarks.learning import variants
from benchmarks.learning.games import GAMES, MAX_TURNS, TASKS, Task, evaluation_seeds
from benchmarks.learning.trainings import (
    CHECKPOINT_MINUTES,
    MANY,
    evaluate,
    make_fresh_run,
    train_by_episodes,
    train_by_minutes,
    train_by_updates,
)
from benchmarks.peers import published

MARKS = (5.0, 10.0, 20.0)
SEEDS = (0, 1, 2)
ACTOR_COUNTS = (1, 3)
ACTORS_TASK = "snake-reward"
PEER_TASKS = ("snake-reward", "snake-score", "nav-score")
SECONDS_AN_UPDATE = 0.012
"""For the estimates only: one process that plays and learns in turn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """How long and how often. Less than these defaults is a quick run, except for trainings of 5 minutes and more."""

    minutes: float = 20.0
    peer_minutes: float = 10.0
    updates: int = 20_000
    games: int = GAMES
    episodes: int | None = None
    """None: the value in the reference."""

    @property
    def marks(self) -> tuple[float, ...]:
        """Minutes at which a run is evaluated."""
        return (*(mark for mark in MARKS if mark < self.minutes), self.minutes)

    @property
    def is_quick(self) -> bool:
        """Whether the results are too small to be kept."""
        whole = Budget()
        shorter = self.games < GAMES or self.minutes < MARKS[0] or self.updates < whole.updates
        return shorter or self.peer_minutes < whole.peer_minutes or self.episodes is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One part. `run` is given the budget and a folder of its own; `minutes` estimates what it takes."""

    name: str
    minutes: Callable[[Budget], float]
    run: Callable[[Budget, Path], dict[str, Any]]
    is_parallel: bool = False
    """Whether other such parts may run beside it: it is bound to no clock and uses one core."""


def _reach(task: Task, seed: int) -> Part:
    def run(budget: Budget, folder: Path) -> dict[str, Any]:
        settings = {"training_episodes": MANY, "seed": seed, "checkpoint_minutes": CHECKPOINT_MINUTES}
        run_dir = make_fresh_run(folder, task, settings)
        names = train_by_minutes(run_dir, budget.minutes, budget.marks)
        at_minutes = {
            f"{minute:g}": None if name is None else evaluate(run_dir, name, budget.games)
            for minute, name in names.items()
        }
        return {"task": task.name, "seed": seed, "minutes": at_minutes}

    return Part(name=f"reach/{task.name}/{seed}", minutes=lambda b: b.minutes + 3, run=run)


def _episodes(task: Task, seed: int) -> Part:
    def run(budget: Budget, folder: Path) -> dict[str, Any]:
        episodes = {} if budget.episodes is None else {"training_episodes": budget.episodes}
        run_dir = make_fresh_run(folder, task, {"seed": seed, **episodes})
        seconds = train_by_episodes(run_dir, 3600.0)
        return {
            "task": task.name,
            "seed": seed,
            "train_seconds": seconds,
            "figures": evaluate(run_dir, "final", budget.games),
        }

    return Part(name=f"episodes/{task.name}/{seed}", minutes=lambda b: 7, run=run)


def _actors(task: Task, actors: int, seed: int) -> Part:
    def run(budget: Budget, folder: Path) -> dict[str, Any]:
        run_dir = make_fresh_run(folder, task, {"training_episodes": MANY, "seed": seed})
        trained = train_by_updates(run_dir, budget.updates, actors, 7200.0)
        evaluation = evaluate(run_dir, trained["checkpoint"], budget.games)
        return {"task": task.name, "seed": seed, "actors": actors, "trained": trained, "figures": evaluation}

    return Part(
        name=f"actors/{task.name}/{actors}/{seed}",
        minutes=lambda b: b.updates * SECONDS_AN_UPDATE / 60 + 1,
        run=run,
    )


def _ablation(task: Task, variant: str, seed: int) -> Part:
    def run(budget: Budget, folder: Path) -> dict[str, Any]:
        settings = {"training_episodes": MANY, "seed": seed, **variants.VARIANTS[variant]}
        run_dir = make_fresh_run(folder, task, settings)
        trained = train_by_updates(run_dir, budget.updates, 0, 7200.0)
        evaluation = evaluate(run_dir, trained["checkpoint"], budget.games)
        return {"task": task.name, "seed": seed, "variant": variant, "trained": trained, "figures": evaluation}

    return Part(
        name=f"ablation/{task.name}/{variant.replace(' ', '=')}/{seed}",
        minutes=lambda b: b.updates * SECONDS_AN_UPDATE / 60 + 1,
        run=run,
        is_parallel=True,
    )


def _peer(task: Task) -> Part:
    def run(budget: Budget, folder: Path) -> dict[str, Any]:
        game = dataclasses.replace(published.GAMES[task.name.partition("-")[0]], reward=task.reward)
        played = published.train_and_play(game, budget.peer_minutes, evaluation_seeds(budget.games), MAX_TURNS)
        return {"task": task.name, **played}

    return Part(name=f"peer/{task.name}", minutes=lambda b: b.peer_minutes + 2, run=run)


def _yardsticks(task: Task) -> Part:
    def run(budget: Budget, folder: Path) -> dict[str, Any]:
        found = run_module(
            "benchmarks.learning.yardsticks", task.name, "--games", str(budget.games), timeout_seconds=7200.0
        )
        return {"task": task.name, **found}

    return Part(name=f"yardsticks/{task.name}", minutes=lambda b: 2, run=run, is_parallel=True)


def _all_parts() -> Iterator[Part]:
    yield from (_yardsticks(task) for task in TASKS.values())
    yield from (_episodes(TASKS["snake-score"], seed) for seed in SEEDS)
    # One seed of every game comes before the second of any, so that a session that is cut short covers all.
    yield from (_reach(task, seed) for seed in SEEDS for task in TASKS.values())
    yield from (_peer(TASKS[name]) for name in PEER_TASKS)
    yield from (_actors(TASKS[ACTORS_TASK], actors, seed) for seed in SEEDS for actors in ACTOR_COUNTS)
    for seed in variants.SEEDS:
        for name in variants.TASKS:
            yield from (_ablation(TASKS[name], variant, seed) for variant in variants.VARIANTS)


PARTS = {part.name: part for part in _all_parts()}
"""Every part by name, in the order in which they are run."""
