"""One update of the learner with all that belongs to it: sampling, the gradient step, the priorities sent back.

    python -m benchmarks.performance.one_update [--set name=value ...]

In one process, on real turns of Snake, with as many threads as `train` would take.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.child import print_result
from benchmarks.machine import measure_gflops
from benchmarks.performance.arguments import parse_settings
from benchmarks.performance.flops import count_update_flops
from benchmarks.performance.run_specs import SNAKE, make_learner, play_blocks, temporary_run_spec
from retro_gamer.learning import set_threads
from retro_gamer.training.planning.allocation import most_learner_threads
from retro_gamer.training.planning.measurements import count_cpus, measure_service_times
from retro_gamer.training.planning.run_spec import RunSpec

TURNS = 20_000
WARM_UPDATES = 20


def measure_update(run_spec: RunSpec, *, n_updates: int, n_threads: int, turns: int = TURNS) -> dict[str, Any]:
    """Return medians in seconds of whole updates and of their parts, and the floor that arithmetic sets."""
    set_threads(1)
    replay = run_spec.make_replay(0)
    for block in play_blocks(run_spec, turns):
        replay.push(block)
    set_threads(n_threads)
    learner = make_learner(run_spec)
    size = run_spec.settings.batch_size
    times = np.zeros((WARM_UPDATES + n_updates, 4))
    for row in times:
        row[0] = time.perf_counter()
        batch = replay.sample(1, size)[0]
        row[1] = time.perf_counter()
        result = learner.update(batch)
        row[2] = time.perf_counter()
        replay.update_priorities(batch.ids, np.abs(result.errors))
        row[3] = time.perf_counter()
    sampling, updating, returning = np.median(np.diff(times[WARM_UPDATES:], axis=1), axis=0).tolist()
    flops = count_update_flops(learner, replay.sample(1, size)[0])
    gflops = measure_gflops(count_cpus())
    return {
        "seconds": float(np.median(times[WARM_UPDATES:, 3] - times[WARM_UPDATES:, 0])),
        "sample_seconds": sampling,
        "update_seconds": updating,
        "priorities_seconds": returning,
        "flops": flops,
        "gflops": gflops,
        "floor_seconds": flops / (gflops * 1e9),
        "threads": n_threads,
        "batch_size": size,
        "parameters": learner.network.n_parameters,
        "n_updates": n_updates,
    }


def main() -> None:
    given, settings = parse_settings(("--updates", 300))
    with temporary_run_spec(SNAKE, **{"prioritize_experiences": True, **settings}) as run_spec:
        n_threads = measure_service_times(run_spec, most_learner_threads(count_cpus())).learner_threads
        print_result(measure_update(run_spec, n_updates=given.updates, n_threads=n_threads))


if __name__ == "__main__":
    main()
