"""A copy of the policy that only looks: Q-values for boards, numpy in and numpy out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch

from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks import make_network
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
    """A network whose weights are set from published ones."""

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec = spec
        self.version = -1
        self._build(spec)

    def _build(self, spec: NetworkSpec) -> None:
        self.spec = spec
        generator = torch.get_rng_state()
        self._network = make_network(spec).eval()
        torch.set_rng_state(generator)
        self._network.requires_grad_(False)
        self._parameters = FlatParameters(self._network)

    def follow(self, weights: Weights) -> None:
        """Take over published weights, growing for their character set first."""
        if len(weights.characters) != self.spec.n_characters:
            self._build(self.spec.with_characters(len(weights.characters)))
        self._parameters.vector.data.numpy()[:] = weights.values
        self._network.hold()
        self.version = weights.version

    def load(self, model_state_dict: Mapping[str, torch.Tensor]) -> None:
        """Take over the weights of a checkpoint.

        Raises:
            RuntimeError: if they are of another network.
        """
        self._network.load_state_dict(model_state_dict)
        self._network.hold()

    def evaluate(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Return squashed Q-values float32 [B, A] for codes [B, H, W], player [B, 2] and state [B, S]."""
        with torch.inference_mode():
            q: torch.Tensor = self._network(codes, player, state)
        values: np.ndarray = q.numpy()
        return values
