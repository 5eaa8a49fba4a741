"""What the training loop needs of whoever runs the actors and replay."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np

from retro_gamer.acting.actor import Grant, Report
from retro_gamer.errors import EngineError
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerRemark:
    """Some workers do not answer or do not start; the text says which, and what they may wait for."""

    text: str


class EngineLostError(EngineError):
    """Whatever runs the workers is gone with all of them. The learner is whole, but has nobody to play for it."""


WorkerEvent = GrantReported | ActorLost | ReplayLost | WorkerRemark


class Replay(Protocol):
    """The replay memory, in this process or another. All calls come from the learner's thread."""

    def next_batch(self, wanted: int, spec: NetworkSpec) -> FeatureBatch | None:
        """Return a batch with the features for a network of `spec`, None if replay was lost (`poll` reports it).

        Up to `wanted` batches may be fetched ahead.
        """

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> object:
        """Set the new errors of a batch's transitions."""

    def begin_snapshot(self, limit_bytes: int) -> None:
        """Copy the newest transitions that fit. This replaces a snapshot that is not finished."""

    def next_piece(self, timeout_seconds: float) -> bytes | None:
        """Return the next piece of the snapshot, None if it is not ready in time, b"" after the last.

        Raises:
            EngineError, MemoryError, OSError, ValueError: if the snapshot failed.
        """

    def restore(self, snapshot: bytes, turns: int) -> int:
        """Restore a snapshot (b"": none), set the turns received; return the number of transitions.

        Raises:
            ValueError: if it is damaged or belongs to another run. Replay is empty then.
        """


class WorkerPool(Protocol):
    """Actors, numbered from 0, and one replay. All calls come from the learner's thread."""

    n_actors: int

    @property
    def replay(self) -> Replay:
        """The replay memory."""

    def ready_actors(self) -> frozenset[int]:
        """Return the actors that can play at once; the others wait for a free processor."""

    def publish(self, weights: Weights) -> None:
        """Use `weights` for later grants."""

    def grant(self, actor: int, grant: Grant) -> None:
        """Let a waiting actor play."""

    def poll(self, timeout_seconds: float) -> list[WorkerEvent]:
        """Return one event for each grant that has ended, and each loss of replay. Wait at most `timeout_seconds`."""


class Backend(Protocol):
    """Where a learner runs, and where it starts its workers."""

    @property
    def device(self) -> str:
        """The device of the network: ``cpu`` or ``cuda``."""

    def allocate(self, run_spec: RunSpec, n_actors: int | None) -> Allocation:
        """Return the division of the cores: `n_actors` actors, or as many as are useful here."""

    def start_workers(self, run_spec: RunSpec, allocation: Allocation, seed: int) -> AbstractContextManager[WorkerPool]:
        """Start the actors and replay; stop them at the end of the block."""
