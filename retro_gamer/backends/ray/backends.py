"""A node of a cluster as the place a learner works in."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import ray

from retro_gamer.backends.ray.engine import LocalRay
from retro_gamer.backends.ray.placement import Placement, Resources
from retro_gamer.backends.ray.worker_pool import RayWorkerPool
from retro_gamer.training.loop.backend import WorkerPool
from retro_gamer.training.planning.allocation import Allocation, allocate, allocate_on_cluster, most_learner_threads
from retro_gamer.training.planning.measurements import count_cpus, measure_service_times
from retro_gamer.training.planning.run_spec import RunSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterBackend:
    """Divides work among the nodes: replay beside the learner, actors spread."""

    resources: Resources
    placement: Placement

    @property
    def device(self) -> str:
        """``cuda`` where a GPU is reserved."""
        return "cuda" if self.resources.learner_gpus else "cpu"

    def allocate(self, run_spec: RunSpec, n_actors: int | None) -> Allocation:
        """Measure turns and updates here, on the learner's node, and plan as many actors as it can use."""
        times = measure_service_times(run_spec, self.resources.learner_cpus, self.device)
        free = int(ray.available_resources().get("CPU", 0))
        allocation = allocate_on_cluster(run_spec.settings, times, self.resources.learner_cpus, free, n_actors)
        return dataclasses.replace(allocation, reasons=(self.resources.describe(), *allocation.reasons))

    @contextlib.contextmanager
    def start_workers(self, run_spec: RunSpec, allocation: Allocation, seed: int) -> Iterator[WorkerPool]:
        """Start replay and the actors."""
        workers = RayWorkerPool(run_spec, allocation, seed=seed, placement=self.placement)
        try:
            yield workers
        finally:
            workers.stop()


class LocalRayBackend:
    """This machine: actors and replay beside the learner, in a Ray of our own."""

    device = "cpu"

    def allocate(self, run_spec: RunSpec, n_actors: int | None) -> Allocation:
        """Measure turns and updates, and divide the cores."""
        n_cpus = count_cpus()
        times = measure_service_times(run_spec, most_learner_threads(n_cpus))
        return allocate(run_spec.settings, times, n_cpus, n_actors)

    @contextlib.contextmanager
    def start_workers(self, run_spec: RunSpec, allocation: Allocation, seed: int) -> Iterator[WorkerPool]:
        """Start Ray, replay and the actors."""
        with LocalRay(n_cpus=allocation.n_actors + 1):
            workers = RayWorkerPool(run_spec, allocation, seed=seed)
            try:
                yield workers
            finally:
                workers.stop()
