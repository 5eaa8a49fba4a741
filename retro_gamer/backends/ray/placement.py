"""A place on the cluster for the learner and replay, side by side."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from retro_gamer.errors import ClusterError
from retro_gamer.training.ray.placement import Placement, Resources

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
