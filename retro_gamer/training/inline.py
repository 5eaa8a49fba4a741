"""The inline runtime: one actor and replay in this very process, in a fixed order, repeatable for a seed."""

from __future__ import annotations

import numpy as np

from retro_gamer.dqn.messages import Grant, Weights
from retro_gamer.replay.batch import Batch
from retro_gamer.training.runtime import Lost, Reported
from retro_gamer.training.work import Work

ACTOR = 0


class InlineRuntime:
    """Plays each grant when it is asked what happened. One game at a time."""

    n_actors = 1

    def __init__(self, work: Work, *, block_turns: int, seed: int) -> None:
        self._actor = work.make_actor(n_games=1, block_turns=block_turns, seed=seed)
        self._replay = work.make_replay(seed)
        self._batch_size = work.settings.batch_size
        self._weights: Weights | None = None
        self._grant: Grant | None = None

    def present(self) -> frozenset[int]:
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

    def poll(self, timeout_seconds: float) -> list[Reported | Lost]:
        """Play the grant, if there is one."""
        if self._grant is None:
            return []
        grant, self._grant = self._grant, None
        return [Reported(actor=ACTOR, report=self._actor.play(grant, self._weights, self._replay.push))]

    def next_batch(self, wanted: int) -> Batch:
        """Return a batch sampled now."""
        return self._replay.sample(self._batch_size)

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> None:
        """Update replay now."""
        self._replay.update_priorities(ids, errors)

    def stop(self) -> None:
        """Do nothing: no process was started."""
