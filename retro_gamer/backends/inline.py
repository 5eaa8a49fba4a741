"""The inline runtime: one actor and replay in this very process, in a fixed order, repeatable for a seed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import numpy as np

from retro_gamer.acting.actor import Grant
from retro_gamer.backends.replay_service import ReplayService
from retro_gamer.features.extractor import FeatureBatch
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.inference import Weights
from retro_gamer.training.loop.backend import Event, GrantReported
from retro_gamer.training.planning.allocation import Allocation, ServiceTimes, allocate
from retro_gamer.training.planning.measurements import count_cpus
from retro_gamer.training.planning.run_spec import RunSpec

ACTOR = 0
UNMEASURED = ServiceTimes(turn=math.nan, update=math.nan)


class InlineWorkerPool:
    """Plays each grant when it is asked what happened. One game at a time."""

    n_actors = 1

    def __init__(self, run_spec: RunSpec, *, block_turns: int, seed: int) -> None:
        self._actor = run_spec.make_actor(n_games=1, block_turns=block_turns, seed=seed)
        self._replay = ReplayService(run_spec, seed=seed)
        self._batch_size = run_spec.settings.batch_size
        self._weights: Weights | None = None
        self._grant: Grant | None = None

    def ready_actors(self) -> frozenset[int]:
        """Return the one actor there is."""
        return frozenset({ACTOR})

    def publish(self, weights: Weights) -> None:
        """Make `weights` those of the next grant."""
        self._weights = weights

    def grant(self, actor: int, grant: Grant) -> None:
        """Keep the grant until it is asked for."""
        assert actor == ACTOR
        assert self._grant is None
        self._grant = grant

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Play the grant, if there is one."""
        if self._grant is None:
            return []
        grant, self._grant = self._grant, None
        return [GrantReported(actor=ACTOR, report=self._actor.play(grant, self._weights, self._replay.push))]

    def next_batch(self, wanted: int, spec: NetworkSpec) -> FeatureBatch:
        """Return a batch sampled now."""
        return self._replay.sample(1, self._batch_size, spec)[0]

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> None:
        """Update replay now."""
        self._replay.update_priorities(ids, errors)

    def begin_snapshot(self, limit_bytes: int) -> None:
        """Copy the newest experiences now; what is made of the copy is made in a thread."""
        self._replay.begin_snapshot(limit_bytes)

    def next_piece(self, timeout_seconds: float) -> bytes | None:
        """Return the next piece of the copy."""
        return self._replay.next_piece(timeout_seconds)

    def restore(self, snapshot: bytes, turns: int) -> int:
        """Put a copy back."""
        self._replay.add_piece(snapshot)
        return self._replay.restore(turns)

    def stop(self) -> None:
        """Do nothing: no process was started."""


class InlineBackend:
    """This very process: nothing is measured, and nothing is started."""

    device = "cpu"

    def allocate(self, run_spec: RunSpec, n_actors: int | None) -> Allocation:
        """Return the plan for one game at a time in this process."""
        return allocate(run_spec.settings, UNMEASURED, count_cpus(), 0)

    @contextlib.contextmanager
    def start_workers(self, run_spec: RunSpec, allocation: Allocation, seed: int) -> Iterator[InlineWorkerPool]:
        """Make the runtime. Here every episode has a seed of its own: going on must not change those to come."""
        yield InlineWorkerPool(run_spec, block_turns=allocation.block_turns, seed=run_spec.settings.seed)
