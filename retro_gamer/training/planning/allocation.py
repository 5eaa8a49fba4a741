"""The allocation of a run: how many actors, games and learner threads share the cores, and how long grants are."""

from __future__ import annotations

import dataclasses
import math

from retro_gamer.errors import UsageError
from retro_gamer.hyperparameters import Hyperparameters

INLINE_GRANT_TURNS = 64
GRANT_UPDATES = 64
"""A grant holds the turns of this many updates: each one costs the learner a message and a copy of the weights."""
SHORTEST_GRANT_TURNS = 128
LONGEST_GRANT_TURNS = 4096
LARGEST_BLOCK_TURNS = 512
GRANT_SECONDS = 2.0
MOST_ACTORS = 1024
"""The most that is ever recommended, also for a game whose turns could not be timed."""
MOST_LEARNER_THREADS = 8
HEADROOM = 1.5
"""Actors together play faster than the learner needs by this factor, so that it rarely waits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceTimes:
    """Measured on this machine before training, in seconds."""

    turn: float
    """One turn of one actor, observation included."""
    update: float
    """One update, without the wait for its batch."""
    learner_threads: int = 1
    """The number of threads for which `update` was measured; more gain little."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Allocation:
    """How one run shares the machine."""

    n_actors: int
    """Actor processes; with 0 the learner's process plays."""
    games_per_actor: int
    learner_threads: int
    grant_turns: int
    grant_seconds: float
    block_turns: int
    dead_band_turns: int
    reasons: tuple[str, ...]
    """The reasons, in sentences for the log."""

    @property
    def is_inline(self) -> bool:
        """Whether everything runs in the learner's process."""
        return self.n_actors == 0


def allocate(settings: Hyperparameters, times: ServiceTimes, n_cpus: int, n_actors: int | None) -> Allocation:
    """Return the allocation for `n_actors`, or for as many as this learner can use."""
    if n_actors == 0:
        return _allocate_inline(settings)
    useful = useful_actors(settings, times)
    chosen = n_actors if n_actors is not None else min(useful, max(1, n_cpus - 1))
    threads = min(times.learner_threads, most_learner_threads(n_cpus))
    who = (
        f"{_describe_actors(chosen, settings.games_per_actor)}, learner on {_count(threads, 'thread')}, "
        f"{_count(n_cpus, 'core')} in total."
    )
    return _allocate(settings, times, chosen, threads, who)


def allocate_on_cluster(
    settings: Hyperparameters, times: ServiceTimes, learner_cpus: int, n_free_cpus: int, n_actors: int | None
) -> Allocation:
    """Return the allocation on a cluster: `n_actors`, or as many as this learner can use, on any nodes."""
    chosen = n_actors if n_actors is not None else useful_actors(settings, times)
    threads = min(times.learner_threads, learner_cpus)
    who = (
        f"{_describe_actors(chosen, settings.games_per_actor)}, spread over the nodes; "
        f"learner on {_count(threads, 'thread')}, replay on the same node."
    )
    return _allocate(settings, times, chosen, threads, who, _describe_start(chosen, n_free_cpus))


def _describe_start(n_actors: int, n_free_cpus: int) -> str:
    there = min(n_actors, n_free_cpus)
    if not there:
        return (
            "No actor can start now: no processor is free, and training waits for one. Add a node, stop other jobs, or "
            "lower --learner-cpus."
        )
    waiting = n_actors - there
    others = f" The other {waiting} wait for free processors." if waiting else ""
    return f"{_count(there, 'actor')} can start now.{others}"


def _allocate(
    settings: Hyperparameters, times: ServiceTimes, n_actors: int, threads: int, *first_reasons: str
) -> Allocation:
    games = settings.games_per_actor
    grant = min(max(GRANT_UPDATES * settings.train_every, SHORTEST_GRANT_TURNS, 4 * games), LONGEST_GRANT_TURNS)
    return Allocation(
        n_actors=n_actors,
        games_per_actor=games,
        learner_threads=threads,
        grant_turns=grant,
        grant_seconds=GRANT_SECONDS,
        block_turns=min(grant, LARGEST_BLOCK_TURNS),
        dead_band_turns=2 * n_actors * grant + 2 * settings.train_every,
        reasons=(
            *first_reasons,
            f"Measured here: {times.turn * 1e6:.0f} microseconds per turn, {times.update * 1e3:.1f} milliseconds per "
            f"update; with {settings.train_every} turns per update this learner keeps "
            f"{_count(useful_actors(settings, times), 'actor')} busy.",
            "More actors help if turns are slower, batches smaller, or train_every larger.",
        ),
    )


def most_learner_threads(n_cpus: int) -> int:
    """Return how many threads a learner may try on a machine whose actors need cores too.

    Threads that share a core with another process lose more than they gain: on two cores, two threads gained nothing
    for a network of 300,000 weights and halved the speed of the default network.
    """
    return min(max(1, n_cpus - 1), MOST_LEARNER_THREADS)


def useful_actors(settings: Hyperparameters, times: ServiceTimes) -> int:
    """Return the smallest number of actors that keeps this learner busy."""
    needed = HEADROOM * settings.train_every * times.turn / times.update
    return max(1, math.ceil(min(needed, MOST_ACTORS)))


def _allocate_inline(settings: Hyperparameters) -> Allocation:
    return Allocation(
        n_actors=0,
        games_per_actor=1,
        learner_threads=1,
        grant_turns=INLINE_GRANT_TURNS,
        grant_seconds=math.inf,
        block_turns=INLINE_GRANT_TURNS,
        dead_band_turns=INLINE_GRANT_TURNS + 2 * settings.train_every,
        reasons=(
            "Everything runs in this process, one game at a time: the same seed gives the same run, bit for bit.",
        ),
    )


def _describe_actors(n_actors: int, n_games: int) -> str:
    each = "" if n_actors == 1 else " each"
    return f"{_count(n_actors, 'actor')} playing {_count(n_games, 'game')}{each}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The address of a cluster, and what a run may use of it."""

    address: str
    learner_cpus: int | None = None
    """None: half of the largest node, at most 4; 1 with a GPU."""
    gpus: int = 0
    """GPUs for the learner."""
    retries: int = 3
    """How often a lost learner is replaced."""
    wait_seconds: float = 300.0
    """How long to wait for a node that can take the learner."""


def check_options(n_actors: int | None, minutes: float | None, cluster: ClusterOptions | None) -> None:
    """Check the options of a training, before anything is started or sent.

    Raises:
        UsageError: if one is out of bounds, or they exclude each other.
    """
    if n_actors is not None and n_actors < 0:
        raise UsageError(f"--actors = {n_actors}: must be 0 (this process) or more; try --actors 1")
    if minutes is not None and not (minutes > 0 and math.isfinite(minutes)):
        raise UsageError(f"--minutes = {minutes}: must be more than 0; try --minutes 5")
    if cluster is not None and n_actors == 0:
        raise UsageError("--actors 0 plays in the command's own process, not on a cluster; try --actors 1")
