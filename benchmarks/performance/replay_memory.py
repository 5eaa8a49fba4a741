"""Replay at a million Snake transitions: the time of one prioritized batch, and the memory each transition takes.

python -m benchmarks.performance.replay_memory [--capacity 1000000]
"""

from __future__ import annotations

import itertools
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child import print_result
from benchmarks.performance.arguments import parse_settings
from benchmarks.performance.run_specs import SNAKE, play_blocks, temporary_run_spec
from retro_gamer.learning import set_threads
from retro_gamer.training.planning.run_spec import RunSpec

BATCH_SIZE = 256
BLOCKS_TURNS = 20_480


def measure_replay(run_spec: RunSpec, *, repetitions: int, turns: int = BLOCKS_TURNS) -> dict[str, Any]:
    """Return medians in seconds for batches out of a full memory, and bytes a transition, counted and resident."""
    capacity = run_spec.settings.memory_capacity
    blocks = play_blocks(run_spec, turns)
    before = read_resident_bytes()
    replay = run_spec.make_replay(0)
    push_seconds = []
    for block in itertools.cycle(blocks):
        started = time.perf_counter()
        replay.push(block)
        push_seconds.append((time.perf_counter() - started) / max(1, block.turns))
        if replay.added >= capacity + len(block):
            break
    resident = read_resident_bytes()
    generator = np.random.default_rng(0)
    times = []
    for _ in range(repetitions):
        errors = generator.random(BATCH_SIZE, np.float32)
        started = time.perf_counter()
        batch = replay.sample(1, BATCH_SIZE)[0]
        replay.update_priorities(batch.ids, errors)
        times.append(time.perf_counter() - started)
    return {
        "seconds": float(np.median(times)),
        "repetitions": repetitions,
        "batch_size": BATCH_SIZE,
        "records": len(replay),
        "push_seconds_per_turn": float(np.median(push_seconds)),
        "bytes_per_transition": replay.memory_bytes / capacity,
        "resident_bytes_per_transition": None if before is None or resident is None else (resident - before) / capacity,
    }


def read_resident_bytes() -> int | None:
    """Return the resident memory of this process, None where it cannot be read."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * resource.getpagesize() if path.exists() else None


def main() -> None:
    given, settings = parse_settings(("--capacity", 1_000_000), ("--repetitions", 2000))
    set_threads(1)
    chosen = {"prioritize_experiences": True, "memory_capacity": given.capacity, **settings}
    with temporary_run_spec(SNAKE, **chosen) as run_spec:
        print_result(measure_replay(run_spec, repetitions=given.repetitions))


if __name__ == "__main__":
    main()
