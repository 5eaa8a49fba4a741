"""The inline backend: one actor and replay in the learner's process, in a fixed order, repeatable for a seed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from retro_gamer.acting.actor import Grant
from retro_gamer.backends.replay_service import ReplayService
from retro_gamer.learning.inference import Weights
from retro_gamer.training.loop.backend import GrantReported, WorkerEvent
from retro_gamer.training.planning.allocation import Allocation, ServiceTimes, allocate
from retro_gamer.training.planning.measurements import count_cpus
from retro_gamer.training.planning.run_spec import RunSpec

ACTOR = 0
NOT_MEASURED = ServiceTimes(turn=math.nan, update=math.nan)


class InlineWorkerPool:
    """Plays each grant when it is polled, one game at a time."""

    n_actors = 1

    def __init__(self, run_spec: RunSpec, *, block_turns: int, seed: int) -> None:
        self.replay = ReplayService(run_spec, seed=seed)
        self._actor = run_spec.make_actor(n_games=1, block_turns=block_turns, seed=seed)
        self._weights: Weights | None = None
        self._grant: Grant | None = None

    def ready_actors(self) -> frozenset[int]:
        """Return the one actor."""
        return frozenset({ACTOR})

    def publish(self, weights: Weights) -> None:
        """Use `weights` for the next grant."""
        self._weights = weights

    def grant(self, actor: int, grant: Grant) -> None:
        """Keep the grant until the next poll."""
        assert actor == ACTOR
        assert self._grant is None
        self._grant = grant

    def poll(self, timeout_seconds: float) -> list[WorkerEvent]:
        """Play the grant, if there is one."""
        if self._grant is None:
            return []
        grant, self._grant = self._grant, None
        return [GrantReported(actor=ACTOR, report=self._actor.play(grant, self._weights, self.replay.push))]


class InlineBackend:
    """The learner's own process. Nothing is measured or started."""

    device = "cpu"

    def allocate(self, run_spec: RunSpec, n_actors: int | None) -> Allocation:
        """Return the allocation for one game at a time."""
        return allocate(run_spec.settings, NOT_MEASURED, count_cpus(), 0)

    @contextlib.contextmanager
    def start_workers(self, run_spec: RunSpec, allocation: Allocation, seed: int) -> Iterator[InlineWorkerPool]:
        """Yield the actor and replay. Episodes are seeded one by one, so a resumed run keeps the run's own seed."""
        yield InlineWorkerPool(run_spec, block_turns=allocation.block_turns, seed=run_spec.settings.seed)
