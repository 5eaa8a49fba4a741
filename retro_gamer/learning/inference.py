"""Weights as they travel, and a network that only plays by them: numpy in and numpy out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch

from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks import make_network
from retro_gamer.learning.networks.base import to_tensors
from retro_gamer.learning.optimizer import FlatParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """The parameters of one version of the network, as one vector."""

    version: int
    values: np.ndarray
    """float32 [n_parameters], in the order of the network's parameters."""
    characters: tuple[str, ...]
    """The character set the network is laid out for."""


class InferenceNetwork:
    """A network whose weights come from a learner or a checkpoint, and are never trained."""

    def __init__(self, spec: NetworkSpec) -> None:
        self.version = -1
        self._build(spec)

    def _build(self, spec: NetworkSpec) -> None:
        self.spec = spec
        generator = torch.get_rng_state()
        self._network = make_network(spec).eval()
        torch.set_rng_state(generator)
        self._network.requires_grad_(False)
        self._parameters = FlatParameters(self._network)

    def set_weights(self, weights: Weights) -> None:
        """Set published weights, after growing for their character set."""
        if len(weights.characters) != self.spec.n_characters:
            self._build(self.spec.with_characters(len(weights.characters)))
        self._parameters.vector.data.numpy()[:] = weights.values
        self._network.cache_tables()
        self.version = weights.version

    def load(self, model_state_dict: Mapping[str, torch.Tensor]) -> None:
        """Set the weights of a checkpoint.

        Raises:
            RuntimeError: if they are of another network.
        """
        self._network.load_state_dict(model_state_dict)
        self._network.cache_tables()

    def evaluate(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Return squashed Q-values float32 [B, A] for codes [B, H, W], player [B, 2] and state [B, S]."""
        features = self._network.extractor.extract(codes, player, state)
        with torch.inference_mode():
            q: torch.Tensor = self._network(to_tensors(features, "cpu"))
        values: np.ndarray = q.numpy()
        return values
