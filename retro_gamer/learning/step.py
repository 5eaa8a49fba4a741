"""One gradient step: from a batch that was looked at to weights that have moved."""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import numpy as np
import torch

from retro_gamer.features.extractor import FeatureBatch
from retro_gamer.learning.losses import double_q_errors, huber_gradient, unsquash, weighted_huber
from retro_gamer.learning.networks.base import QNetwork, to_numpy
from retro_gamer.learning.optimizer import FlatAdam, FlatParameters


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
