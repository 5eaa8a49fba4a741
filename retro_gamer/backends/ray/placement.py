"""A place on the cluster for the learner and replay, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from retro_gamer.errors import ClusterError

MOST_LEARNER_CPUS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """Options of Ray for the processes that the learner starts."""

    replay: Mapping[str, Any]
    actor: Mapping[str, Any]


THIS_MACHINE = Placement(replay={"num_cpus": 0}, actor={"num_cpus": 1})
"""Replay shares the learner's processor, whose batches it makes while the learner waits for them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """What the learner and replay reserve together on one node."""

    learner_cpus: int
    replay_cpus: int
    learner_gpus: int = 0

    def describe(self) -> str:
        """Return the requests of all roles in a sentence for the log."""
        gpus = f" and {self.learner_gpus} GPU" if self.learner_gpus else ""
        return (
            f"Reserved on one node: {self.learner_cpus} CPU{gpus} for the learner, {self.replay_cpus} CPU for replay; "
            "1 CPU for each actor, spread over the nodes; none for the supervisor."
        )

    @property
    def bundle(self) -> dict[str, float]:
        """The reservation as Ray takes it."""
        cpus = {"CPU": float(self.learner_cpus + self.replay_cpus)}
        return {**cpus, "GPU": float(self.learner_gpus)} if self.learner_gpus else cpus


def choose_resources(node_cpus: Sequence[int], learner_cpus: int | None, gpus: int) -> Resources:
    """Return what to reserve on nodes of so many CPUs.

    Without a wish the learner has half of the largest node, at most 4 CPUs, and 1 where a GPU does its work. Replay has
    a CPU of its own beside it, unless no node has two or it would be the last, which an actor needs.
    """
    largest = max(node_cpus, default=1)
    usual = 1 if gpus else max(1, min(MOST_LEARNER_CPUS, largest // 2))
    wanted = usual if learner_cpus is None else learner_cpus
    takes_the_last = sum(node_cpus) == wanted + 1
    return Resources(learner_cpus=wanted, replay_cpus=0 if largest < 2 or takes_the_last else 1, learner_gpus=gpus)


LOOK_SECONDS = 1.0


class Reservation:
    """Reserves `resources` on one node while it is entered, waiting at most `wait_seconds` for them to be free.

    An autoscaling cluster sees the demand meanwhile. `is_given_up` is asked every second.
    """

    def __init__(self, resources: Resources, wait_seconds: float, is_given_up: Callable[[], bool]) -> None:
        self._resources = resources
        self._wait_seconds = wait_seconds
        self._is_given_up = is_given_up
        self._group: PlacementGroup | None = None

    def __enter__(self) -> Reservation:
        """Reserve.

        Raises:
            ClusterError: if nothing became free in time.
        """
        self._group = placement_group([self._resources.bundle], strategy="STRICT_PACK")
        waited = 0.0
        while not self._group.wait(LOOK_SECONDS):
            waited += LOOK_SECONDS
            if waited >= self._wait_seconds or self._is_given_up():
                self._release()
                raise ClusterError(self._explain(waited))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        if self._group is not None:
            remove_placement_group(self._group)
            self._group = None

    def _explain(self, waited: float) -> str:
        wanted = ", ".join(f"{amount:g} {name}" for name, amount in self._resources.bundle.items())
        return (
            f"no node of the cluster had {wanted} free for the learner and replay within {waited:.0f} seconds.\n"
            f"Free in all: {_count(ray.available_resources())}; the cluster has {_count(ray.cluster_resources())}.\n"
            "Wait for other jobs to end, add nodes, ask for less with --learner-cpus 1, or wait longer with "
            "--wait-seconds."
        )

    @property
    def strategy(self) -> PlacementGroupSchedulingStrategy:
        """Where the learner and replay are put."""
        assert self._group is not None
        return PlacementGroupSchedulingStrategy(placement_group=self._group, placement_group_bundle_index=0)

    @property
    def learner(self) -> dict[str, Any]:
        """Options of Ray for the learner's process: its calls answer while it trains."""
        resources = self._resources
        return {
            "num_cpus": resources.learner_cpus,
            "num_gpus": resources.learner_gpus,
            "scheduling_strategy": self.strategy,
            "max_concurrency": 4,
        }

    @property
    def placement(self) -> Placement:
        """What the learner asks for replay and its actors."""
        return Placement(
            replay={"num_cpus": self._resources.replay_cpus, "scheduling_strategy": self.strategy},
            actor={"num_cpus": 1, "scheduling_strategy": "SPREAD"},
        )


def _count(resources: dict[str, float]) -> str:
    return ", ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU") if name in resources) or "nothing"
