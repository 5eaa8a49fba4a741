"""Where a learner works: how its work is divided there, and how its actors and replay are started."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from retro_gamer.backends.inline import InlineRuntime
from retro_gamer.training.loop.backend import Runtime
from retro_gamer.training.planning.allocation import ServiceTimes, WorkPlan, make_plan, most_learner_threads
from retro_gamer.training.planning.measurements import count_cpus, measure_service_times
from retro_gamer.training.planning.run_spec import Work

UNMEASURED = ServiceTimes(turn=math.nan, update=math.nan)


class Site(Protocol):
    """What a learner needs to know of the place it works in."""

    @property
    def device(self) -> str:
        """Where the network is: ``cpu`` or ``cuda``."""

    def make_plan(self, work: Work, n_actors: int | None) -> WorkPlan:
        """Divide the work among `n_actors`, or as many as are of use here."""

    def running(self, work: Work, plan: WorkPlan, seed: int) -> AbstractContextManager[Runtime]:
        """Start the actors and replay of the plan, and stop them at the end whatever happens."""


class LocalSite:
    """This machine: everything in this process, or actors and replay beside it in a Ray of our own."""

    device = "cpu"

    def make_plan(self, work: Work, n_actors: int | None) -> WorkPlan:
        """Measure turns and updates, unless all is played in this process, and divide the cores."""
        n_cpus = count_cpus()
        times = UNMEASURED if n_actors == 0 else measure_service_times(work, most_learner_threads(n_cpus))
        return make_plan(work.settings, times, n_cpus, n_actors)

    @contextlib.contextmanager
    def running(self, work: Work, plan: WorkPlan, seed: int) -> Iterator[Runtime]:
        """Start the runtime of the plan."""
        if plan.n_actors == 0:
            # Here every episode has a seed of its own: going on must not change those to come.
            yield InlineRuntime(work, block_turns=plan.block_turns, seed=work.settings.seed)
            return
        # Ray takes most of a second to import, and the inline runtime does not need it.
        from retro_gamer.backends.ray.engine import LocalRay
        from retro_gamer.backends.ray.worker_pool import RayRuntime

        with LocalRay(n_cpus=plan.n_actors + 1):
            runtime = RayRuntime(work, plan, seed=seed)
            try:
                yield runtime
            finally:
                runtime.stop()
