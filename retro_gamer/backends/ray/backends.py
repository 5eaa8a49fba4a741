"""A node of a cluster as the place a learner works in."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import ray

from retro_gamer.backends.ray.engine import LocalRay
from retro_gamer.backends.ray.placement import Placement, Resources
from retro_gamer.backends.ray.worker_pool import RayRuntime
from retro_gamer.training.loop.backend import Runtime
from retro_gamer.training.planning.allocation import WorkPlan, make_cluster_plan, make_plan, most_learner_threads
from retro_gamer.training.planning.measurements import count_cpus, measure_service_times
from retro_gamer.training.planning.run_spec import Work


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterSite:
    """Divides work among the nodes: replay beside the learner, actors spread."""

    resources: Resources
    placement: Placement

    @property
    def device(self) -> str:
        """``cuda`` where a GPU is reserved."""
        return "cuda" if self.resources.learner_gpus else "cpu"

    def make_plan(self, work: Work, n_actors: int | None) -> WorkPlan:
        """Measure turns and updates here, on the learner's node, and plan as many actors as it can use."""
        times = measure_service_times(work, self.resources.learner_cpus, self.device)
        free = int(ray.available_resources().get("CPU", 0))
        plan = make_cluster_plan(work.settings, times, self.resources.learner_cpus, free, n_actors)
        return dataclasses.replace(plan, reasons=(self.resources.describe(), *plan.reasons))

    @contextlib.contextmanager
    def running(self, work: Work, plan: WorkPlan, seed: int) -> Iterator[Runtime]:
        """Start replay and the actors."""
        runtime = RayRuntime(work, plan, seed=seed, placement=self.placement)
        try:
            yield runtime
        finally:
            runtime.stop()


class LocalSite:
    """This machine: actors and replay beside the learner, in a Ray of our own."""

    device = "cpu"

    def make_plan(self, work: Work, n_actors: int | None) -> WorkPlan:
        """Measure turns and updates, and divide the cores."""
        n_cpus = count_cpus()
        times = measure_service_times(work, most_learner_threads(n_cpus))
        return make_plan(work.settings, times, n_cpus, n_actors)

    @contextlib.contextmanager
    def running(self, work: Work, plan: WorkPlan, seed: int) -> Iterator[Runtime]:
        """Start Ray, replay and the actors."""
        with LocalRay(n_cpus=plan.n_actors + 1):
            runtime = RayRuntime(work, plan, seed=seed)
            try:
                yield runtime
            finally:
                runtime.stop()
