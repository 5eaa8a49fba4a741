"""The run spec: the values that every process of a run is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from retro_gamer.features.spec import NetworkSpec
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.session import GameSession
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.replay.buffer import LEAST_SPARE_ROWS, ReplayBuffer

if TYPE_CHECKING:
    from retro_gamer.acting.actor import Actor

SHORT_GRANT_UPDATES = 16
"""When the learner is the bottleneck, a grant holds the turns of about this many updates."""
SENT_AGAIN_BY_DEFAULT = 8 * 2 / (16 * 4)
MOST_SPARE_ROWS = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSpec:
    """The game and what is learned of it: what the learner, replay and every actor of one run receive.

    It names no run directory and holds plain values only, so it can be sent to any process.
    """

    source: GameSource | None
    """Where the game is. Relative paths are resolved by each process in its own working directory."""
    factory: Callable[[], Any] | None
    """Builds the game; given instead of `source` when the game is a function."""
    metadata: GameMetadata
    settings: Hyperparameters
    network: NetworkSpec

    def located(self, folder: str) -> RunSpec:
        """Return this spec with the game's relative paths resolved in `folder`."""
        return self if self.source is None else dataclasses.replace(self, source=self.source.located(folder))

    def make_session(self) -> GameSession:
        """Return a session of the game, with its own copy of the game's modules."""
        if self.factory is not None:
            return GameSession(self.factory, self.metadata)
        assert self.source is not None
        return GameSession.load(self.source, self.metadata)

    def make_actor(self, *, n_games: int, block_turns: int, seed: int) -> Actor:
        """Return an actor that plays `n_games` games at once, each with its own copy of the game's modules."""
        from retro_gamer.acting.actor import Actor  # the replay process must not import torch

        return Actor(
            make_session=self.make_session,
            metadata=self.metadata,
            spec=self.network,
            settings=self.settings,
            n_games=n_games,
            block_turns=block_turns,
            seed=seed,
        )

    def make_replay(self, seed: int) -> ReplayBuffer:
        """Return an empty replay buffer for this run."""
        return ReplayBuffer(
            capacity=self.settings.memory_capacity,
            height=self.network.height,
            width=self.network.width,
            n_state=self.network.n_state,
            prioritized=self.settings.prioritize_experiences,
            priority_exponent=self.settings.priority_exponent,
            importance_exponent=self.settings.importance_exponent,
            rare_share=self.settings.rare_share,
            spare_rows=share_of_spare_rows(self.settings),
            seed=seed,
        )


def share_of_spare_rows(settings: Hyperparameters) -> float:
    """Return how many rows replay keeps beyond one per transition, as a share of its capacity.

    Every grant sends the rows of unfinished transitions again: more rows for longer n-step returns and more games,
    more often for shorter grants. The default settings need the minimum.
    """
    sent_again = settings.games_per_actor * (settings.n_step + 1) / (SHORT_GRANT_UPDATES * settings.train_every)
    return min(MOST_SPARE_ROWS, LEAST_SPARE_ROWS + max(0.0, sent_again - SENT_AGAIN_BY_DEFAULT))
