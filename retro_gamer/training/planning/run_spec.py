"""What an actor is made of: plain values that travel to whichever process is to play."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from retro_gamer.features.spec import NetworkSpec
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.session import GameSession
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.replay.buffer import LEAST_SPARE_ROWS, ReplayBuffer

if TYPE_CHECKING:
    from retro_gamer.acting.actor import Actor

SHORT_GRANT_UPDATES = 16
"""Where the learner sets the pace, an actor is granted the turns of about so many updates at a time."""
SENT_AGAIN_BY_DEFAULT = 8 * 2 / (16 * 4)
MOST_SPARE_ROWS = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSpec:
    """Describes the game and the learning of one run to every process that takes part."""

    source: GameSource | None
    factory: Callable[[], Any] | None
    """Used instead of the source where the game was handed over as a function."""
    metadata: GameMetadata
    settings: Hyperparameters
    spec: NetworkSpec

    def located(self, folder: str) -> RunSpec:
        """Return this work with the places of the game looked up in `folder`, where they are not absolute."""
        return self if self.source is None else dataclasses.replace(self, source=self.source.located(folder))

    def load_factory(self) -> Callable[[], Any]:
        """Return the function that builds a fresh game, importing the game where need be."""
        if self.factory is not None:
            return self.factory
        assert self.source is not None
        return load_factory(self.source)

    def make_actor(self, *, n_games: int, block_turns: int, seed: int) -> Actor:
        """Return an actor for `n_games` games of this run, each with its own copy of the game's modules."""
        from retro_gamer.acting.actor import Actor  # here, so that the process of replay does without torch

        return Actor(
            make_session=lambda: GameSession(self.load_factory(), self.metadata, self.source),
            metadata=self.metadata,
            spec=self.spec,
            settings=self.settings,
            n_games=n_games,
            block_turns=block_turns,
            seed=seed,
        )

    def make_replay(self, seed: int) -> ReplayBuffer:
        """Return an empty replay buffer for this run."""
        return ReplayBuffer(
            capacity=self.settings.memory_capacity,
            height=self.spec.height,
            width=self.spec.width,
            n_state=self.spec.n_state,
            prioritized=self.settings.prioritize_experiences,
            priority_exponent=self.settings.priority_exponent,
            importance_exponent=self.settings.importance_exponent,
            rare_share=self.settings.rare_share,
            spare_rows=share_of_spare_rows(self.settings),
            seed=seed,
        )


def share_of_spare_rows(settings: Hyperparameters) -> float:
    """Return how many rows beyond one a transition replay should keep, as a share of its capacity.

    With each grant the rows that the experiences under way in an actor's games still need are sent again: the more, the
    longer these are and the fewer turns a grant has. The defaults do with the least share.
    """
    sent_again = settings.games_per_actor * (settings.n_step + 1) / (SHORT_GRANT_UPDATES * settings.train_every)
    return min(MOST_SPARE_ROWS, LEAST_SPARE_ROWS + max(0.0, sent_again - SENT_AGAIN_BY_DEFAULT))
