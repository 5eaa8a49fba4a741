"""What is measured on this machine before training: service times, cores and memory; and the estimates from them."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from pathlib import Path

import numpy as np

from retro_gamer.acting.actor import Actor, Grant, Report
from retro_gamer.features.spec import make_spec
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.probe.findings import ProbeFindings
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning import set_threads
from retro_gamer.learning.learner import Learner
from retro_gamer.replay.transitions import Batch
from retro_gamer.training.planning.allocation import ServiceTimes, most_learner_threads
from retro_gamer.training.planning.run_spec import RunSpec

TURN_SECONDS = 0.3
TURNS = 400
SLOW_SECONDS = 1.0
"""If a game takes longer to build, only one game of an actor is built for the measurement."""
UPDATES = 7
WARM_UPDATES = 3
WORTHWHILE_GAIN = 0.15
"""More threads must save this share of an update, because the actors need the cores too."""


def measure_service_times(run_spec: RunSpec, most_threads: int, device: str = "cpu") -> ServiceTimes:
    """Measure a turn of the game and an update of the network on `device`; this takes about a second.

    On the CPU it tries updates with 1, 2, 4 and so on up to `most_threads` threads, and chooses those that pay.
    """
    if device != "cpu":
        most_threads = 1
    updates: dict[int, float] = {}
    n_threads = 1
    while n_threads <= most_threads:
        updates[n_threads] = _measure_update(run_spec, n_threads, device)
        n_threads *= 2
    best = choose_threads(updates)
    return ServiceTimes(turn=_measure_turn(run_spec), update=updates[best], learner_threads=best)


def choose_threads(updates: dict[int, float]) -> int:
    """Return the best number of threads of `updates` (seconds by threads): more only if each step gains enough."""
    best = min(updates)
    for n_threads in sorted(updates):
        if updates[n_threads] < (1 - WORTHWHILE_GAIN) * updates[best]:
            best = n_threads
    return best


def _measure_turn(run_spec: RunSpec) -> float:
    """Return the seconds per turn of an actor, inf if none could be played."""
    set_threads(1)
    weights = Learner(run_spec.network, run_spec.settings, run_spec.metadata.character_set or ()).publish()

    def play(actor: Actor, turns: int) -> Report:
        grant = Grant(turns=turns, seconds=TURN_SECONDS, epsilon=0.0, tickets=tuple(range(turns)))
        return actor.play(grant, weights, lambda block: 0)

    actor = run_spec.make_actor(n_games=1, block_turns=TURNS, seed=run_spec.settings.seed)
    if play(actor, turns=1).seconds < SLOW_SECONDS:
        actor = run_spec.make_actor(
            n_games=run_spec.settings.games_per_actor, block_turns=TURNS, seed=run_spec.settings.seed
        )
    first, second = play(actor, TURNS), play(actor, TURNS)
    best = second if second.turns else first
    return best.seconds / best.turns if best.turns else math.inf


def _measure_update(run_spec: RunSpec, n_threads: int, device: str) -> float:
    set_threads(n_threads)
    learner = Learner(run_spec.network, run_spec.settings, run_spec.metadata.character_set or (), device)
    batch = learner.network.extractor.extract_batch(_make_batch(run_spec))  # as replay does
    seconds = []
    for _ in range(WARM_UPDATES + UPDATES):
        started = time.perf_counter()
        learner.update(batch)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[WARM_UPDATES:]))


def _make_batch(run_spec: RunSpec) -> Batch:
    spec, size = run_spec.network, run_spec.settings.batch_size
    random = np.random.default_rng(0)
    codes = random.integers(0, spec.n_characters + 1, (size, spec.height, spec.width), dtype=np.uint8)
    codes[random.random(codes.shape) < 0.9] = 0
    player = np.full((size, 2), -1, np.int16)
    if spec.has_player:
        player[:] = (spec.width // 2, spec.height // 2)
    state = np.zeros((size, spec.n_state), np.float32)
    return Batch(
        codes=codes,
        player=player,
        state=state,
        action=np.zeros(size, np.int64),
        returns=np.zeros(size, np.float32),
        discounts=np.full(size, 0.9, np.float32),
        next_codes=codes,
        next_player=player,
        next_state=state,
        weights=np.ones(size, np.float32),
        ids=np.arange(size, dtype=np.int64),
    )


MEMINFO = Path("/proc/meminfo")
CGROUP_MEMORY = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))
CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
CGROUP_V1 = (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))


def count_cpus() -> int:
    """Return the processors this process may use: by affinity and by the limit of its control group.

    On a server that a class shares, each student gets what the administrator set, not the whole machine.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _read_quota()
    return max(1, affinity if quota is None else min(affinity, math.floor(quota)))


def _read_quota() -> float | None:
    if CGROUP_V2.is_file():
        limit, period_text = CGROUP_V2.read_text().split()
        return None if limit == "max" else int(limit) / int(period_text)
    if all(path.is_file() for path in CGROUP_V1):
        used, period = (int(path.read_text()) for path in CGROUP_V1)
        return used / period if used > 0 else None
    return None


def available_bytes() -> int | None:
    """Return the free memory of this machine, within the limit of its control group; None if unknown."""
    if not MEMINFO.is_file():
        return None
    fields = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
    free = 1024 * int(fields["MemAvailable"].split()[0])
    limit, used = (path.read_text().strip() if path.is_file() else "max" for path in CGROUP_MEMORY)
    return free if limit == "max" else max(0, min(free, int(limit) - int(used)))


GIGABYTE = 1e9
MUCH_BYTES = GIGABYTE
LARGE_SHARE = 0.5
ADVISED_SHARE = 0.25


def warn_about_memory(run_spec: RunSpec) -> list[str]:
    """Return a warning if replay memory needs much of the free memory, else nothing."""
    need = run_spec.make_replay(0).memory_bytes  # it takes no memory before it is filled
    free = available_bytes()
    if need < MUCH_BYTES and (free is None or need < LARGE_SHARE * free):
        return []
    capacity = run_spec.settings.memory_capacity
    text = (
        f"Replay memory will take {need / GIGABYTE:.1f} GB when it is full: memory_capacity = {capacity} "
        f"transitions of a board of {run_spec.network.width}x{run_spec.network.height} cells."
    )
    if free is None:
        return [text]
    text += f" This machine has {free / GIGABYTE:.1f} GB of free memory."
    if need >= LARGE_SHARE * free:
        fitting = max(run_spec.settings.batch_size, int(capacity * ADVISED_SHARE * free / need))
        text += f" To be safe, set memory_capacity = {fitting}."
    return [text]


SLOW_START_SECONDS = 2.0
"""A game that takes longer to start is not measured: that would start one for each game of an actor."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What training with the default settings needs. `seconds` is for all episodes on this machine."""

    inputs: int
    weights: int
    memory_bytes: int
    turn_seconds: float
    update_seconds: float
    seconds: float


def estimate_cost(metadata: GameMetadata, source: GameSource, findings: ProbeFindings) -> Cost | None:
    """Return the size of the network and what training needs, measured in a second; None if the game starts slowly."""
    if findings.start_seconds > SLOW_START_SECONDS:
        return None
    settings = Hyperparameters()
    spec = make_spec(metadata, settings, findings.player is not None)
    run_spec = RunSpec(source=source, factory=None, metadata=metadata, settings=settings, network=spec)
    times = measure_service_times(run_spec, most_learner_threads(count_cpus()))
    learner = Learner(spec, settings, metadata.character_set or ())
    lengths = [min(n, settings.max_turns_per_episode) for n in findings.episode_turns]
    mean = sum(lengths) / len(lengths) if lengths else settings.max_turns_per_episode
    turns = mean * settings.training_episodes
    slowest = max(times.turn / max(1, count_cpus() - 1), times.update / settings.train_every)
    return Cost(
        inputs=spec.height * spec.width * spec.n_characters + spec.n_state,
        weights=sum(parameter.numel() for parameter in learner.network.parameters()),
        memory_bytes=run_spec.make_replay(0).memory_bytes,
        turn_seconds=times.turn if math.isfinite(times.turn) else 0.0,
        update_seconds=times.update,
        seconds=turns * slowest if math.isfinite(slowest) else 0.0,
    )
