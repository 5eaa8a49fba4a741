"""Random boards, specs and batches for the tests of this room."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from retro_gamer.features.spec import NetworkSpec
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.networks.base import QNetwork, Tensors, to_tensors
from retro_gamer.replay.transitions import Batch

SMALL = NetworkSpec(
    height=4,
    width=5,
    n_characters=3,
    n_state=2,
    n_actions=3,
    spatial=True,
    has_player=True,
    n_layers=1,
    layer_size=8,
    crop_radius=2,
    dueling=True,
)


def make_small_spec(**changed: Any) -> NetworkSpec:
    return dataclasses.replace(SMALL, **changed)


def make_settings(**changed: Any) -> Hyperparameters:
    return Hyperparameters.from_mapping({"layer_size": 8, "n_layers": 1, "crop_radius": 2, **changed})


def make_boards(
    spec: NetworkSpec, count: int, seed: int = 0, largest_code: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return codes, player and state: about half the cells empty, players everywhere, a sixth of them absent."""
    random = np.random.default_rng(seed)
    largest = spec.n_characters if largest_code is None else largest_code
    codes = random.integers(0, largest + 1, (count, spec.height, spec.width), dtype=np.uint8)
    codes[random.random(codes.shape) < 0.5] = 0
    player = np.stack([random.integers(0, spec.width, count), random.integers(0, spec.height, count)], axis=1)
    player[random.random(count) < 1 / 6] = -1
    state = random.normal(0, 3, (count, spec.n_state)).astype(np.float32)
    return codes, player.astype(np.int16), state


def make_batch(spec: NetworkSpec, count: int = 16, seed: int = 0, largest_code: int | None = None) -> Batch:
    random = np.random.default_rng(seed + 1000)
    codes, player, state = make_boards(spec, count, seed, largest_code)
    next_codes, next_player, next_state = make_boards(spec, count, seed + 1, largest_code)
    return Batch(
        codes=codes,
        player=player,
        state=state,
        action=random.integers(0, spec.n_actions, count),
        returns=random.normal(0, 3, count).astype(np.float32),
        discounts=random.choice(np.array([0.0, 0.9, 0.97], np.float32), count),
        next_codes=next_codes,
        next_player=next_player,
        next_state=next_state,
        weights=random.uniform(0.2, 1, count).astype(np.float32),
        ids=np.arange(count, dtype=np.int64),
    )


def features_of(network: QNetwork, boards: tuple[np.ndarray, ...]) -> Tensors:
    return to_tensors(network.extractor.extract(*boards), next(network.parameters()).device)


def q_values(network: QNetwork, boards: tuple[np.ndarray, ...]) -> torch.Tensor:
    with torch.no_grad():
        q: torch.Tensor = network(features_of(network, boards))
    return q
