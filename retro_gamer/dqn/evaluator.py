"""A copy of the policy that only looks: Q-values for boards, numpy in and numpy out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from retro_gamer.dqn.flat import FlatParameters
from retro_gamer.dqn.loss import squash, td_target, unsquash
from retro_gamer.dqn.messages import Weights
from retro_gamer.dqn.scene import make_network
from retro_gamer.dqn.spec import NetworkSpec


class Evaluator:
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
        self.version = weights.version

    def load(self, model_state_dict: Mapping[str, torch.Tensor]) -> None:
        """Take over the weights of a checkpoint.

        Raises:
            RuntimeError: if they are of another network.
        """
        self._network.load_state_dict(model_state_dict)

    def evaluate(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Return squashed Q-values float32 [B, A] for codes [B, H, W], player [B, 2] and state [B, S]."""
        with torch.inference_mode():
            q = self._network(codes, player, state)
        return q.numpy()


def unsquash_values(q: np.ndarray) -> np.ndarray:
    """Return squashed Q-values in units of reward."""
    return unsquash(torch.from_numpy(q)).numpy()


def squash_values(value: np.ndarray) -> np.ndarray:
    """Return values in units of reward as the network counts them."""
    return squash(torch.from_numpy(value)).numpy()


def initial_priorities(
    returns: np.ndarray, discounts: np.ndarray, q_taken: np.ndarray, q_next: np.ndarray
) -> np.ndarray:
    """Return |TD error| float32 [K] of new transitions by the actor's own Q-values (Horgan et al. 2018, section 3).

    `q_taken` is the squashed value of the action taken at the start, `q_next` the largest one n steps later.
    """
    target = td_target(torch.from_numpy(returns), torch.from_numpy(discounts), torch.from_numpy(q_next)).numpy()
    return np.abs(target - q_taken)
