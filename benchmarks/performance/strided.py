"""The network that stable-baselines3 is given in its row, put into our own trainer: for this comparison only.

Importing this module puts it in place. The game below makes every process of a training import it, so that the
learner and the actors use the same network.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import numpy as np
import torch
from retro.examples.snake import create_game as create_snake
from torch import nn

import retro_gamer.learning
from retro_gamer.features.extractor import FeatureExtractor, Features
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks.base import CharacterAxis, QNetwork, Tensors

N_PARAMETERS = 299_685
"""Of this network on Snake, and of stable-baselines3's."""


class StridedExtractor(FeatureExtractor):
    """The codes of the board, nothing else."""

    def extract(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Features:
        return (codes,)


class StridedNetwork(QNetwork):
    """Conv 32 and conv 64, both of stride 2, over the whole one-hot board, flattened, then 128, 128."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.extractor = StridedExtractor(spec)
        height, width = -(-spec.height // 4), -(-spec.width // 4)
        self.table: torch.Tensor
        eye = torch.cat([torch.zeros(1, spec.n_characters), torch.eye(spec.n_characters)])
        self.register_buffer("table", eye, persistent=False)
        self.scene = nn.Sequential(
            nn.Conv2d(spec.n_characters, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Sequential(
            nn.Linear(64 * height * width, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(),
            nn.Linear(128, spec.n_actions),
        )  # fmt: skip

    def character_axes(self) -> dict[str, CharacterAxis]:
        return {"scene.0.weight": CharacterAxis(dim=1)}

    def _inputs(self, *features: torch.Tensor) -> Tensors:
        (codes,) = features
        return (nn.functional.embedding(codes.int(), self.table).permute(0, 3, 1, 2),)

    def _q_values(self, *inputs: torch.Tensor) -> torch.Tensor:
        q: torch.Tensor = self.head(self.scene(inputs[0]))
        return q


def make_strided_network(spec: NetworkSpec) -> QNetwork:
    return StridedNetwork(spec)


def put_in_place() -> None:
    """Let every learner, actor and replay of this process build the strided network or extract its features."""
    replaced = {"make_network": make_strided_network, "make_extractor": StridedExtractor}
    names = [found.name for found in pkgutil.walk_packages(retro_gamer.learning.__path__, "retro_gamer.learning.")]
    for name in [*names, "retro_gamer.backends.replay_service"]:
        module = importlib.import_module(name)
        vars(module).update({name: made for name, made in replaced.items() if hasattr(module, name)})


def create_game() -> Any:
    return create_snake()


put_in_place()
