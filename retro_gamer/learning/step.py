"""One gradient step of DQN: rescaled values, double-Q n-step targets, the weighted Huber loss, and the step itself.

Letters are the papers': s_tm1, a_tm1 the state and action at the start of a transition, s_t the state n turns later.

The arithmetic is numpy's: a few dozen operations on one number a transition, which take torch three times as long, and
whose gradient is known. `cuda_graph_step` has the same in torch for a GPU.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from retro_gamer.features.extractor import FeatureBatch
from retro_gamer.learning.networks.base import QNetwork, to_numpy, to_tensors
from retro_gamer.learning.optimizer import FlatAdam, FlatParameters

SQUEEZE = 1e-3


def squash(value: np.ndarray) -> np.ndarray:
    """Return h(x) = sign(x) (sqrt(|x| + 1) - 1) + SQUEEZE x, so that returns of any size suit one learning rate.

    Pohlen et al. 2018, "Observe and Look Further", section 3.2.
    """
    squashed: np.ndarray = np.sign(value) * (np.sqrt(np.abs(value) + 1) - 1) + SQUEEZE * value
    return squashed


def unsquash(value: np.ndarray) -> np.ndarray:
    """Return the inverse of `squash`."""
    shifted = np.abs(value) + (1 + SQUEEZE)
    root = np.sqrt(1 + (4 * SQUEEZE) * shifted)
    # This is the paper's (root - 1) / (2 SQUEEZE), without its difference, which in float32 loses rewards below 1e-4.
    unsquashed: np.ndarray = np.sign(value) * (np.square(2 * shifted / (root + 1)) - 1)
    return unsquashed


def td_target(returns: np.ndarray, discounts: np.ndarray, q_t: np.ndarray) -> np.ndarray:
    """Return the squashed n-step target [B] from rewards summed over n steps and the squashed value of s_t.

    `discounts` is gamma to the number of steps taken, and 0 where the game terminated.
    """
    return squash(returns + discounts * unsquash(q_t))


def double_q_errors(
    q_tm1: np.ndarray,
    a_tm1: np.ndarray,
    returns: np.ndarray,
    discounts: np.ndarray,
    q_t_online: np.ndarray,
    q_t_target: np.ndarray,
) -> np.ndarray:
    """Return temporal-difference errors [B]: target minus estimate (van Hasselt et al. 2016, double DQN).

    q_tm1, q_t_online, q_t_target: [B, A]
    a_tm1, returns, discounts: [B]
    """
    each = np.arange(len(a_tm1))
    target = td_target(returns, discounts, q_t_target[each, q_t_online.argmax(axis=1)])
    errors: np.ndarray = target - q_tm1[each, a_tm1]
    return errors


def initial_priorities(
    returns: np.ndarray, discounts: np.ndarray, q_taken: np.ndarray, q_next: np.ndarray
) -> np.ndarray:
    """Return |TD error| float32 [K] of new transitions by the actor's own Q-values (Horgan et al. 2018, section 3).

    `q_taken` is the squashed value of the action taken at the start, `q_next` the largest one n steps later.
    """
    priorities: np.ndarray = np.abs(td_target(returns, discounts, q_next) - q_taken)
    return priorities


def weighted_huber(errors: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean Huber loss (quadratic up to 1) of `errors` [B], each times its importance weight."""
    sizes = np.abs(errors)
    return float((weights * np.where(sizes <= 1, np.square(errors) / 2, sizes - 0.5)).mean())


def huber_gradient(errors: np.ndarray, weights: np.ndarray, a_tm1: np.ndarray, n_actions: int) -> np.ndarray:
    """Return the gradient [B, A] of `weighted_huber` with respect to the Q-values whose errors these are."""
    gradient = np.zeros((len(errors), n_actions), errors.dtype)
    gradient[np.arange(len(errors)), a_tm1] = np.clip(errors, -1, 1) * weights / -len(errors)
    return gradient


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpdateResult:
    """What one update did.

    It is skipped, and changes no weight, if its loss or gradient is not finite; loss is then nan and errors are 0.
    """

    loss: float
    errors: np.ndarray
    """Temporal-difference errors float32 [B], for the priorities."""
    skipped: bool
    largest_q: float = 0.0
    """The largest |Q| of the batch, in units of reward."""

    @classmethod
    def make_skipped(cls, n_transitions: int) -> UpdateResult:
        """Return the result of an update that was skipped."""
        return cls(loss=math.nan, errors=np.zeros(n_transitions, np.float32), skipped=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpdateContext:
    """What a step works on: the network that learns, the one it bootstraps from, and the optimizer."""

    network: QNetwork
    target_network: QNetwork
    online: FlatParameters
    optimizer: FlatAdam
    max_gradient_norm: float


class EagerStep:
    """Does one step operation by operation, with loss and gradient in numpy wherever the network is."""

    def __init__(self, context: UpdateContext) -> None:
        self.context = context

    def __call__(self, batch: FeatureBatch) -> UpdateResult:
        """Do one step on a batch."""
        network, online = self.context.network, self.context.online
        device = online.vector.device
        passed = network.forward_both(to_tensors(batch.features, device), self.context.target_network)
        q_tm1, q_t, q_t_target = to_numpy(passed.q_tm1), to_numpy(passed.q_t), to_numpy(passed.q_t_target)
        with np.errstate(over="ignore", invalid="ignore"):
            errors = double_q_errors(q_tm1, batch.action, batch.returns, batch.discounts, q_t, q_t_target)
            loss = weighted_huber(errors, batch.weights)
            gradient = huber_gradient(errors, batch.weights, batch.action, q_tm1.shape[1])
            largest_q = float(unsquash(np.abs(q_tm1).max()))
        online.zero_gradient()
        network.backward(passed, torch.from_numpy(gradient).to(device))
        norm = self._clip_gradient()
        if not (math.isfinite(norm) and math.isfinite(loss)):
            return UpdateResult.make_skipped(len(batch))
        self.context.optimizer.step()
        return UpdateResult(loss=loss, errors=errors, skipped=False, largest_q=largest_q)

    def _clip_gradient(self) -> float:
        """Scale the gradient down to the largest norm allowed; return the norm it had."""
        gradient, limit = self.context.online.gradient, self.context.max_gradient_norm
        norm = float(gradient.norm())
        if norm > limit:
            gradient.mul_(limit / norm)
        return norm
