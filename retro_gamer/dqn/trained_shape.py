"""The network that a checkpoint describes, believed only as far as it fits the game."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from retro_gamer.errors import CheckpointError, ConfigurationError, printable
from retro_gamer.features.spec import SIZES, NetworkSpec, make_spec
from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import SETTINGS, Hyperparameters

MISFITS = (RuntimeError, KeyError, TypeError, AttributeError, ValueError)
"""What torch and Python raise where the values of a checkpoint are not those of the network it describes."""


def read_trained_shape(metadata: GameMetadata, state: Mapping[str, Any], name: str) -> tuple[GameMetadata, NetworkSpec]:
    """Return the description with the checkpoint's characters and player, and the spec of its network.

    Nothing is built. `name` is how to call the checkpoint in an error.

    Raises:
        CheckpointError: if they are not what this program writes; a file from a stranger may ask for anything.
    """
    try:
        spec = NetworkSpec(**state["spec"])
        wrong = [p for size in SIZES if (p := SETTINGS[size].find_problem(getattr(spec, size)))]
        if wrong:
            raise ConfigurationError(wrong, name)
        metadata = dataclasses.replace(
            metadata, character_set=tuple(state["characters"]), player=state.get("player", metadata.player)
        )
        settings = Hyperparameters(**{size: getattr(spec, size) for size in SIZES})
        present = make_spec(metadata, settings, has_player=bool(spec.has_player))
        fits = spec == dataclasses.replace(present, dueling=bool(spec.dueling))
    except (TypeError, ValueError, ConfigurationError) as error:
        raise make_damaged(name, printable(str(error))) from error
    if not fits:
        raise make_damaged(name, "its network is of another shape than its description of the game")
    return metadata, spec


def make_damaged(name: str, reason: str) -> CheckpointError:
    """Return the error for a checkpoint whose parts do not fit each other."""
    return CheckpointError(f"{name} is damaged: {reason}. Use another one: 'retro-gamer info' lists them.")
