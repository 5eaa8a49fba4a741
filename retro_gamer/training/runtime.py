"""What the training loop needs of whoever runs the actors and replay."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np

from retro_gamer.dqn.messages import Grant, Report, Weights
from retro_gamer.replay.batch import Batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reported:
    """An actor has finished its grant and waits for the next."""

    actor: int
    report: Report


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lost:
    """An actor was lost with its grant; a new one of the same number waits in its place."""

    actor: int
    reason: str


class Runtime(Protocol):
    """Actors, numbered from 0, and one replay. All calls come from the learner's thread."""

    n_actors: int

    def present(self) -> frozenset[int]:
        """Return the actors that a grant would reach at once; others wait for a place on some node, and join later."""

    def publish(self, weights: Weights) -> None:
        """Make `weights` those that later grants are played with."""

    def grant(self, actor: int, grant: Grant) -> None:
        """Set a waiting actor to work."""

    def poll(self, timeout_seconds: float) -> list[Reported | Lost]:
        """Return what happened to actors, once for each grant; wait at most so long for something to happen."""

    def next_batch(self, wanted: int) -> Batch:
        """Return the next batch; up to `wanted` may be fetched ahead."""

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> None:
        """Hand the errors of a batch's records back to replay."""

    def stop(self) -> None:
        """End every process that was started."""
