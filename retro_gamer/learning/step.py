"""One gradient step: from a batch that was looked at to weights that have moved."""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import numpy as np
import torch

from retro_gamer.features.extractor import FeatureBatch
from retro_gamer.learning.networks.base import QNetwork, to_numpy
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
class StepFigures:
    """What one step found: loss, errors float32 [B], and the largest |Q| in units of reward."""

    loss: float
    errors: np.ndarray
    largest_q: float
    is_finite: bool
    """Whether the weights were moved: they are not by a loss or a gradient that is not finite."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpdateContext:
    """What a step works on: the network that learns, the one it bootstraps from, and what moves the weights."""

    network: QNetwork
    target_network: QNetwork
    online: FlatParameters
    optimizer: FlatAdam
    max_gradient_norm: float


class Step(Protocol):
    """Moves the weights by one batch."""

    trained: UpdateContext

    def __call__(self, batch: FeatureBatch) -> StepFigures:
        """Do one step on a batch."""


class EagerStep:
    """Operation by operation; loss and gradient are numpy's work, on a few numbers, wherever the network is."""

    def __init__(self, trained: UpdateContext) -> None:
        self.trained = trained

    def __call__(self, batch: FeatureBatch) -> StepFigures:
        """Do one step on a batch."""
        network, online, action = self.trained.network, self.trained.online, batch.action
        prepared = network.prepare(batch.looked)
        with torch.no_grad():
            q_t_target = self.trained.target_network.value(*network.halves(prepared)[1])
        valued = network.value_both(prepared)
        q = to_numpy(valued.q_tm1)
        with np.errstate(over="ignore", invalid="ignore"):
            errors = double_q_errors(
                q, action, batch.returns, batch.discounts, to_numpy(valued.q_t), to_numpy(q_t_target)
            )
            loss = weighted_huber(errors, batch.weights)
            gradient = huber_gradient(errors, batch.weights, action, q.shape[1])
            largest_q = float(unsquash(np.abs(q).max()))
        online.zero_gradient()
        network.backpropagate(valued, torch.from_numpy(gradient).to(online.vector.device))
        norm = self._clip_gradient()
        is_finite = math.isfinite(norm) and math.isfinite(loss)
        if is_finite:
            self.trained.optimizer.step()
        return StepFigures(loss=loss, errors=errors, largest_q=largest_q, is_finite=is_finite)

    def _clip_gradient(self) -> float:
        gradient, limit = self.trained.online.gradient, self.trained.max_gradient_norm
        norm = float(gradient.norm())
        if norm > limit:
            gradient.mul_(limit / norm)
        return norm
