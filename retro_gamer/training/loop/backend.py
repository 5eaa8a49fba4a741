"""What the training loop needs of whoever runs the actors and replay."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np

from retro_gamer.acting.actor import Grant, Report
from retro_gamer.features.extractor import FeatureBatch
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.inference import Weights
from retro_gamer.training.planning.allocation import Allocation
from retro_gamer.training.planning.run_spec import RunSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrantReported:
    """An actor has finished its grant and waits for the next."""

    actor: int
    report: Report


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorLost:
    """An actor was lost with its grant; a new one of the same number waits in its place."""

    actor: int
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplayLost:
    """The replay memory was lost; an empty one is in its place and counts on from the turns known of."""

    reason: str


Event = GrantReported | ActorLost | ReplayLost


class WorkerPool(Protocol):
    """Actors, numbered from 0, and one replay. All calls come from the learner's thread."""

    n_actors: int

    def ready_actors(self) -> frozenset[int]:
        """Return the actors that a grant would reach at once; others wait for a place on some node, and join later."""

    def publish(self, weights: Weights) -> None:
        """Make `weights` those that later grants are played with."""

    def grant(self, actor: int, grant: Grant) -> None:
        """Set a waiting actor to work."""

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return what happened to actors, once for each grant, and to replay; wait at most so long for something."""

    def next_batch(self, wanted: int, spec: NetworkSpec) -> FeatureBatch | None:
        """Return the next batch, looked at for a network of `spec`, None if replay was lost (`poll` tells).

        Up to `wanted` may be fetched ahead.
        """

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> None:
        """Hand the errors of a batch's records back to replay."""

    def begin_snapshot(self, limit_bytes: int) -> None:
        """Begin to copy the newest experiences of replay, as many as fit; a copy that was under way is forgotten."""

    def next_piece(self, timeout_seconds: float) -> bytes | None:
        """Return the next piece of the copy, None if it is not ready in time, or b"" after the last.

        Raises:
            EngineError, MemoryError, OSError, ValueError: if the copy could not be made.
        """

    def restore(self, snapshot: bytes, turns: int) -> int:
        """Put a copy back, or none if it is b"", count from `turns` on, and return the experiences held.

        Raises:
            ValueError: if it is damaged or does not fit this run; replay is empty then and counts from `turns` on.
        """

    def stop(self) -> None:
        """End every process that was started."""


class Backend(Protocol):
    """What a learner needs to know of the place it works in."""

    @property
    def device(self) -> str:
        """Where the network is: ``cpu`` or ``cuda``."""

    def allocate(self, run_spec: RunSpec, n_actors: int | None) -> Allocation:
        """Divide the work among `n_actors`, or as many as are of use here."""

    def start_workers(self, run_spec: RunSpec, allocation: Allocation, seed: int) -> AbstractContextManager[WorkerPool]:
        """Start the actors and replay of the plan, and stop them at the end whatever happens."""
