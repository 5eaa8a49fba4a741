"""retro-gamer trains deep Q-learning agents to play terminal games written with retro-games.

Its public names are imported on first use: importing the package imports neither torch nor ray.
"""

from __future__ import annotations

import importlib

from retro_gamer.version import __version__

TYPE_CHECKING = False  # `typing` may be a file of the game until __main__ has run
if TYPE_CHECKING:
    from typing import Any

    from retro_gamer.driver.trainer import DQNTrainer
    from retro_gamer.errors import RetroGamerError
    from retro_gamer.games.description import GameMetadata
    from retro_gamer.games.environment import GameEnvironment
    from retro_gamer.policy import PolicyInput, TrainedPolicy

__all__ = [
    "DQNTrainer",
    "GameEnvironment",
    "GameMetadata",
    "PolicyInput",
    "RetroGamerError",
    "TrainedPolicy",
    "__version__",
]

_PLACES = {
    "DQNTrainer": "retro_gamer.driver.trainer",
    "GameEnvironment": "retro_gamer.games.environment",
    "GameMetadata": "retro_gamer.games.description",
    "PolicyInput": "retro_gamer.policy",
    "RetroGamerError": "retro_gamer.errors",
    "TrainedPolicy": "retro_gamer.policy",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
