"""Where the processes of a run are placed: a reservation for the learner and replay on one node, and Ray's options."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from retro_gamer.errors import ClusterError, EngineError
from retro_gamer.training.planning.allocation import ClusterOptions

MOST_LEARNER_CPUS = 4
REMARK_SECONDS = 5.0
"""The wait for a first actor is remarked on after this time, if no processor is free."""
WAIT_SECONDS = 1.0
"""The time between two checks whether the user has given up."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """Ray's options for the process of each role."""

    learner: Mapping[str, Any]
    replay: Mapping[str, Any]
    actor: Mapping[str, Any]
    wait_seconds: float = ClusterOptions.wait_seconds
    """The longest wait with no actor started."""


THIS_MACHINE = Placement(learner={}, replay={"num_cpus": 0}, actor={"num_cpus": 1})
"""Replay shares the learner's processor: it makes batches while the learner waits for them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """What the learner and replay reserve together on one node."""

    learner_cpus: int
    replay_cpus: int
    learner_gpus: int = 0

    def describe(self) -> str:
        """Return the requests of all roles in one sentence, for the log."""
        gpus = f" and {self.learner_gpus} GPU" if self.learner_gpus else ""
        return (
            f"Reserved on one node: {self.learner_cpus} CPU{gpus} for the learner, {self.replay_cpus} CPU for replay; "
            "1 CPU for each actor, spread over the nodes; none for the supervisor."
        )

    @property
    def bundle(self) -> dict[str, float]:
        """The request in Ray's terms."""
        cpus = {"CPU": float(self.learner_cpus + self.replay_cpus)}
        return {**cpus, "GPU": float(self.learner_gpus)} if self.learner_gpus else cpus

    def place(self, group: PlacementGroup, wait_seconds: float) -> Placement:
        """Return the options of each role for a reservation that Ray has granted, and how long to wait for actors."""
        strategy = PlacementGroupSchedulingStrategy(placement_group=group, placement_group_bundle_index=0)
        learner = {
            "num_cpus": self.learner_cpus,
            "num_gpus": self.learner_gpus,
            "scheduling_strategy": strategy,
            "max_concurrency": 4,  # it answers the supervisor while it trains
        }
        return Placement(
            learner=learner,
            replay={"num_cpus": self.replay_cpus, "scheduling_strategy": strategy},
            actor={"num_cpus": 1, "scheduling_strategy": "SPREAD"},
            wait_seconds=wait_seconds,
        )


def choose_resources(node_cpus: Sequence[int], learner_cpus: int | None, gpus: int) -> Resources:
    """Return what to reserve in a cluster whose nodes have `node_cpus` CPUs.

    By default the learner gets half of the largest node, at most 4 CPUs, or 1 if it has a GPU. Replay gets a CPU of its
    own, unless no node has two or an actor would get none.
    """
    largest = max(node_cpus, default=1)
    default = 1 if gpus else max(1, min(MOST_LEARNER_CPUS, largest // 2))
    wanted = default if learner_cpus is None else learner_cpus
    takes_the_last = sum(node_cpus) == wanted + 1
    return Resources(learner_cpus=wanted, replay_cpus=0 if largest < 2 or takes_the_last else 1, learner_gpus=gpus)


@contextlib.contextmanager
def reserve(resources: Resources, wait_seconds: float, is_cancelled: Callable[[], bool]) -> Iterator[Placement]:
    """Reserve `resources` on one node until the end of the block. An autoscaling cluster sees the demand meanwhile.

    Raises:
        ClusterError: if they are not free within `wait_seconds`, or `is_cancelled` returns true.
    """
    group = placement_group([resources.bundle], strategy="STRICT_PACK")
    try:
        waited = 0.0
        while not group.wait(WAIT_SECONDS):
            waited += WAIT_SECONDS
            if waited >= wait_seconds or is_cancelled():
                raise ClusterError(_explain(resources, waited))
        yield resources.place(group, wait_seconds)
    finally:
        remove_placement_group(group)


def _explain(resources: Resources, waited: float) -> str:
    wanted = ", ".join(f"{amount:g} {name}" for name, amount in resources.bundle.items())
    return (
        f"no node of the cluster had {wanted} free for the learner and replay within {waited:.0f} seconds.\n"
        f"Free in all: {_count(ray.available_resources())}; the cluster has {_count(ray.cluster_resources())}.\n"
        "Wait for other jobs to end, add nodes, ask for less with --learner-cpus 1, or wait longer with "
        "--wait-seconds."
    )


class ActorWait:
    """The wait while no actor has started: remarked on if no processor is free, and ended after `wait_seconds`.

    Make it before the actors: afterwards the free processors may be theirs, while their processes start.
    """

    def __init__(self, wait_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._wait_seconds = wait_seconds
        self._had_free_cpus = _count_free_cpus() >= 1
        self._clock = clock
        self._since: float | None = None
        self._is_remarked = False

    def check(self, is_waiting: bool) -> str | None:
        """Return a remark if one is due.

        Raises:
            EngineError: if no actor has started for too long.
        """
        if not is_waiting:
            self._since, self._is_remarked = None, False
            return None
        if self._since is None:
            self._since = self._clock()
        waited = self._clock() - self._since
        if waited >= self._wait_seconds:
            raise EngineError(
                f"no actor has started within {waited:.0f} seconds: {_describe_free_cpus()}.\n"
                "Let other work in this Ray end, or train in one process: --actors 0. On a cluster, add nodes, or wait "
                "longer with --wait-seconds."
            )
        if self._is_remarked or self._had_free_cpus or waited < REMARK_SECONDS or _count_free_cpus() >= 1:
            return None
        self._is_remarked = True
        return (
            f"No actor runs yet: {_describe_free_cpus()}. Training waits for that, at most "
            f"{self._wait_seconds:.0f} seconds."
        )


def _count_free_cpus() -> float:
    return float(ray.available_resources().get("CPU", 0))


def _describe_free_cpus() -> str:
    total = ray.cluster_resources().get("CPU", 0)
    return f"Ray has {_count_free_cpus():g} of {total:g} CPUs free, and each actor needs 1"


def _count(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU") if name in resources) or "nothing"
