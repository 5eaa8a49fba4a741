"""Service times of every role: how many actors a game can use, and what the throughput model is made of.

python -m benchmarks.performance.service --game snake     a turn, an update and the useful actors
python -m benchmarks.performance.service --replay         the replay process and the object store
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from typing import Any

import numpy as np
import ray

from benchmarks.child import print_result
from benchmarks.performance.arguments import add_settings, read_settings
from benchmarks.performance.run_specs import GAMES, SNAKE, play_blocks, temporary_run_spec
from retro_gamer.backends.ray.engine import start_local_ray
from retro_gamer.backends.replay_service import ReplayService
from retro_gamer.training.planning.allocation import most_learner_threads, useful_actors
from retro_gamer.training.planning.measurements import count_cpus, measure_service_times
from retro_gamer.training.planning.run_spec import RunSpec

SLOW: dict[str, dict[str, Any]] = {"labyrinth": {"games_per_actor": 1, "exploration_turns": 10}}
"""A labyrinth takes ten seconds to build, so that an actor is measured with one."""
REUSES: dict[str, dict[str, Any]] = {
    "default": {},
    "apex": {"batch_size": 512, "train_every": 640, "memory_capacity": 100_000},
}
"""Hyperparameters of the two reuses of a transition: the default, and that of Ape-X (0.8 times)."""
BLOCK_TURNS = 512
BATCHES_A_CALL = 8
PUSHES_AHEAD = 8


def measure_game(game: str, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return, by reuse, the times of a turn and of an update of a game and the actors they keep busy."""
    found = {}
    with temporary_run_spec(GAMES[game], **{**SLOW.get(game, {}), **settings}) as run_spec:
        for reuse, changed in REUSES.items():
            run_spec = dataclasses.replace(run_spec, settings=dataclasses.replace(run_spec.settings, **changed))
            times = measure_service_times(run_spec, most_learner_threads(count_cpus()))
            found[reuse] = {
                "turn_seconds": times.turn,
                "update_seconds": times.update,
                "learner_threads": times.learner_threads,
                "useful_actors": useful_actors(run_spec.settings, times),
            }
    return found


def measure_replay_process(run_spec: RunSpec, seconds: float) -> dict[str, float]:
    """Return the seconds that the replay process needs for a turn taken and for a batch given, messages included.

    Measured at its limit: several pushes, then several requests, are always waiting.
    """
    blocks = play_blocks(run_spec, 10 * BLOCK_TURNS, block_turns=BLOCK_TURNS)
    block = max(blocks, key=lambda b: b.turns)
    with start_local_ray(n_cpus=2):
        replay: Any = ray.remote(ReplayService).options(num_cpus=0).remote(run_spec, seed=0)
        pushes = _count_calls(lambda: replay.push.remote(block), seconds)
        size = run_spec.settings.batch_size
        requests = _count_calls(lambda: replay.sample.remote(BATCHES_A_CALL, size, run_spec.network), seconds)
        ids, errors = np.arange(BATCHES_A_CALL * size), np.ones(BATCHES_A_CALL * size, np.float32)
        returns = _count_calls(lambda: replay.update_priorities.remote(ids, errors), seconds)
        ray.kill(replay)
    return {
        "push_seconds_per_turn": pushes / block.turns,
        "sample_seconds_per_batch": requests / BATCHES_A_CALL,
        "priorities_seconds_per_batch": returns / BATCHES_A_CALL,
        "bytes_per_turn": sum(a.nbytes for a in (block.codes, block.player, block.state)) / block.turns,
    }


def _count_calls(call: Any, seconds: float) -> float:
    """Return the seconds a call, some always waiting."""
    ray.get(call())
    waiting = [call() for _ in range(PUSHES_AHEAD)]
    done, started = 0, time.perf_counter()
    while time.perf_counter() < started + seconds:
        ray.get(waiting.pop(0))
        waiting.append(call())
        done += 1
    taken = (time.perf_counter() - started) / done
    ray.get(waiting)
    return taken


def measure_object_store(seconds: float, size_bytes: int = 1 << 20) -> float:
    """Return the bytes a second that one process puts into the object store and another could read (it is mapped)."""
    data = np.zeros(size_bytes, np.uint8)
    with start_local_ray(n_cpus=1):
        ray.get(ray.put(data))
        done, started = 0, time.perf_counter()
        while time.perf_counter() < started + seconds:
            ray.get(ray.put(data))
            done += 1
        return done * size_bytes / (time.perf_counter() - started)


def measure_data_ways(seconds: float, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the times of the replay process for each reuse, and the speed of the object store."""
    replay = {}
    for reuse, changed in REUSES.items():
        with temporary_run_spec(SNAKE, **{"prioritize_experiences": True, **changed, **settings}) as run_spec:
            replay[reuse] = measure_replay_process(run_spec, seconds)
    return {"replay": replay, "object_store_bytes_per_second": measure_object_store(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--game", choices=GAMES)
    parser.add_argument("--replay", action="store_true")
    parser.add_argument("--seconds", type=float, default=4.0)
    add_settings(parser)
    given = parser.parse_args()
    settings = read_settings(given)
    print_result(measure_game(given.game, settings) if given.game else measure_data_ways(given.seconds, settings))


if __name__ == "__main__":
    main()
