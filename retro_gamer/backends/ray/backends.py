"""The backends that use Ray: this machine, and a cluster."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import ray

from retro_gamer.backends.ray.engine import start_local_ray
from retro_gamer.backends.ray.placement import Placement, Resources
from retro_gamer.backends.ray.ray_processes import ray_messages_discarded
from retro_gamer.backends.ray.worker_pool import RayWorkerPool
from retro_gamer.training.loop.backend import WorkerPool
from retro_gamer.training.loop.end_conditions import warnings_held_back
from retro_gamer.training.planning.allocation import Allocation, allocate, allocate_on_cluster, most_learner_threads
from retro_gamer.training.planning.measurements import count_cpus, measure_service_times
from retro_gamer.training.planning.run_spec import RunSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterBackend:
    """A node of a cluster: replay runs beside the learner, actors are spread over the nodes."""

    resources: Resources
    placement: Placement

    @property
    def device(self) -> str:
        """``cuda`` if a GPU is reserved, else ``cpu``."""
        return "cuda" if self.resources.learner_gpus else "cpu"

    def allocate(self, run_spec: RunSpec, n_actors: int | None) -> Allocation:
        """Measure service times on the learner's node; return as many actors as this learner can use."""
        times = measure_service_times(run_spec, self.resources.learner_cpus, self.device)
        free = int(ray.available_resources().get("CPU", 0))
        allocation = allocate_on_cluster(run_spec.settings, times, self.resources.learner_cpus, free, n_actors)
        return dataclasses.replace(allocation, reasons=(self.resources.describe(), *allocation.reasons))

    @contextlib.contextmanager
    def start_workers(self, run_spec: RunSpec, allocation: Allocation, seed: int) -> Iterator[WorkerPool]:
        """Start replay and the actors; stop them at the end."""
        with contextlib.closing(RayWorkerPool(run_spec, allocation, seed=seed, placement=self.placement)) as workers:
            yield workers


class LocalRayBackend:
    """This machine: a Ray of our own runs actors and replay beside the learner."""

    device = "cpu"

    def allocate(self, run_spec: RunSpec, n_actors: int | None) -> Allocation:
        """Measure service times and divide the cores."""
        n_cpus = count_cpus()
        times = measure_service_times(run_spec, most_learner_threads(n_cpus))
        return allocate(run_spec.settings, times, n_cpus, n_actors)

    @contextlib.contextmanager
    def start_workers(self, run_spec: RunSpec, allocation: Allocation, seed: int) -> Iterator[WorkerPool]:
        """Start Ray, replay and the actors; stop them at the end."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(ray_messages_discarded())
            with warnings_held_back():  # a window that closes would end Ray's processes before the last checkpoint
                stack.enter_context(start_local_ray(n_cpus=allocation.n_actors + 1))
            yield stack.enter_context(contextlib.closing(RayWorkerPool(run_spec, allocation, seed=seed)))
