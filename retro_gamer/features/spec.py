"""The network spec: the shapes of a game's observations and the sizes the user chose."""

from __future__ import annotations

import dataclasses

from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import Hyperparameters

SIZES = ("n_layers", "layer_size", "crop_radius")
"""The hyperparameters that the shape of a network depends on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """Everything the shape of a network depends on, as plain values for messages and checkpoints."""

    height: int
    width: int
    n_characters: int
    n_state: int
    n_actions: int
    spatial: bool
    has_player: bool
    n_layers: int
    layer_size: int
    crop_radius: int
    dueling: bool = False
    """Whether the head separates a board's value from the actions' advantages. Older checkpoints lack the field."""

    def with_characters(self, n_characters: int) -> NetworkSpec:
        """Return the same spec for a larger character set."""
        return dataclasses.replace(self, n_characters=n_characters)


def make_spec(metadata: GameMetadata, settings: Hyperparameters, has_player: bool) -> NetworkSpec:
    """Return the spec of the network for a described game whose board size and characters are known."""
    if metadata.board_size is None or metadata.character_set is None:
        raise ValueError("the board size and the character set must be known before a network is built")
    width, height = metadata.board_size
    return NetworkSpec(
        height=height,
        width=width,
        n_characters=len(metadata.character_set),
        n_state=len(metadata.observe_state),
        n_actions=metadata.n_actions,
        spatial=metadata.spatial,
        has_player=has_player,
        n_layers=settings.n_layers,
        layer_size=settings.layer_size,
        crop_radius=settings.crop_radius,
        dueling=metadata.spatial,
    )
