"""The parts of `make bench`: what each measures, how long it takes, and how it is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.child import run_module
from benchmarks.peers import published
from benchmarks.peers.gymnasium_peers import measure_rllib, measure_stable_baselines
from benchmarks.performance.run_specs import GAMES
from retro_gamer.training.planning.measurements import count_cpus

TIMEOUT_SECONDS = 300.0
PEER_WARM_SECONDS = 5.0
PRIORITIZED = {"prioritize_experiences": "true"}
SAME_REUSE = {"batch_size": "64", "train_every": "4", "memory_capacity": "10000"}
APEX = {
    **PRIORITIZED, "batch_size": "512", "train_every": "640", "memory_capacity": "200000", "learning_starts": "5000",
}  # fmt: skip
PEER_OPTIONS = ("--prioritize-experiences", "--batch-size", "64", "--train-every", "4", "--memory-capacity", "10000")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """How long to measure. Quick runs only check that everything works."""

    steady_seconds: float = 60.0
    window_seconds: float = 40.0
    peer_seconds: float = 20.0
    warm_seconds: float = 10.0
    quick: bool = False


QUICK = Pace(steady_seconds=6.0, window_seconds=6.0, peer_seconds=6.0, warm_seconds=2.0, quick=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One part. `run` returns plain values; `seconds` is what it takes at the ordinary pace."""

    name: str
    title: str
    seconds: float
    run: Callable[[Pace], dict[str, Any]]


def train(game: str, seconds: float, pace: Pace, settings: Mapping[str, str], *options: str) -> dict[str, Any]:
    """Return the numbers of one of our trainings."""
    return run_module(
        "benchmarks.performance.training", "--game", game, "--warm-seconds", str(pace.warm_seconds),
        "--seconds", str(seconds), *options, *_set(settings),
        timeout_seconds=TIMEOUT_SECONDS + seconds,
    )  # fmt: skip


def _set(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def _train_spatial(game: str, seconds: str) -> Callable[[Pace], dict[str, Any]]:
    def run(pace: Pace) -> dict[str, Any]:
        return {
            "peer": published.measure_training(
                published.GAMES[game], PEER_OPTIONS, PEER_WARM_SECONDS, pace.peer_seconds
            ),
            "ours": train(game, getattr(pace, seconds), pace, {**SAME_REUSE, **PRIORITIZED}),
        }

    return run


def _train_flat(pace: Pace) -> dict[str, Any]:
    game = dataclasses.replace(published.SNAKE, spatial=False)
    return {
        "peer": published.measure_training(game, PEER_OPTIONS, PEER_WARM_SECONDS, pace.peer_seconds),
        "rllib": measure_rllib(PEER_WARM_SECONDS, pace.peer_seconds),
        "ours": train("snake", pace.window_seconds, pace, {**SAME_REUSE, **PRIORITIZED}, "--flat"),
    }


def _train_strided(pace: Pace) -> dict[str, Any]:
    return {
        "peer": measure_stable_baselines("cnn", PEER_WARM_SECONDS, pace.peer_seconds, count_cpus()),
        "ours": train("strided", pace.window_seconds / 2, pace, SAME_REUSE),
    }


def _train_apex(pace: Pace) -> dict[str, Any]:
    return {"ours": train("snake", pace.window_seconds, pace, APEX)}


def _child(module: str, quick: tuple[str, ...], *options: str) -> Callable[[Pace], dict[str, Any]]:
    def run(pace: Pace) -> dict[str, Any]:
        chosen = (*options, *(quick if pace.quick else ()))
        return run_module(f"benchmarks.performance.{module}", *chosen, timeout_seconds=2 * TIMEOUT_SECONDS)

    return run


def _useful(game: str, seconds: float) -> Part:
    return Part(
        name=f"useful-{game}",
        title=f"service times and useful actors of {game.capitalize()}",
        seconds=seconds,
        run=_child("service", (), "--game", game),
    )


PARTS = {
    part.name: part
    for part in (
        Part(name="train-snake", title="train on Snake, spatial, beside the published trainer", seconds=125,
             run=_train_spatial("snake", "steady_seconds")),
        Part(name="train-nav", title="train on Nav, spatial, beside the published trainer", seconds=105,
             run=_train_spatial("nav", "window_seconds")),
        Part(name="train-flat", title="train on Snake, not spatial, beside the published trainer and RLlib",
             seconds=150, run=_train_flat),
        Part(name="train-strided", title="train on Snake with the network of stable-baselines3 under both",
             seconds=90, run=_train_strided),
        Part(name="train-apex", title="train on Snake at the reuse of Ape-X", seconds=65, run=_train_apex),
        Part(name="one-update", title="one update of the learner", seconds=20,
             run=_child("one_update", ("--updates", "20"))),
        Part(name="one-actor", title="one actor on one core", seconds=45,
             run=_child("one_actor", ("--seconds", "1.0"))),
        Part(name="replay", title="replay of a million records", seconds=35,
             run=_child("replay_memory", ("--capacity", "20000", "--repetitions", "50"))),
        Part(name="startup", title="the time to the first episode, and the memory of all processes", seconds=60,
             run=_child("startup", ("--repetitions", "1", "--seconds", "2"))),
        *(_useful(game, 70 if game == "labyrinth" else 12) for game in GAMES),
        Part(name="data-ways", title="the replay process and the object store at their limits", seconds=45,
             run=_child("service", ("--seconds", "1"), "--replay")),
    )
}  # fmt: skip
"""Every part by name, in the order in which they are run."""
