"""The arithmetic of `retro_gamer.learning.losses` on tensors, for a device to which nothing should be asked in between.

A test holds the two against each other. As few operations as can be: on a few numbers each takes the same two
microseconds.
"""

from __future__ import annotations

import torch

from retro_gamer.learning.losses import SQUEEZE


def squash(value: torch.Tensor) -> torch.Tensor:
    """Return h(x) = sign(x) (sqrt(|x| + 1) - 1) + SQUEEZE x."""
    return torch.copysign((value.abs() + 1).sqrt() - 1, value).add(value, alpha=SQUEEZE)


def unsquash(value: torch.Tensor) -> torch.Tensor:
    """Return the inverse of `squash`."""
    shifted = value.abs() + (1 + SQUEEZE)
    root = (1 + (4 * SQUEEZE) * shifted).sqrt()
    return torch.copysign((2 * shifted / (root + 1)).square() - 1, value)


def double_q_errors(
    q_tm1: torch.Tensor,
    a_tm1: torch.Tensor,
    returns: torch.Tensor,
    discounts: torch.Tensor,
    q_t_online: torch.Tensor,
    q_t_target: torch.Tensor,
) -> torch.Tensor:
    """Return temporal-difference errors [B]: target minus estimate; q [B, A], int64 a_tm1 [B], the others [B]."""
    best = q_t_online.argmax(dim=1, keepdim=True)
    bootstrap = unsquash(q_t_target.gather(1, best).squeeze(1))
    return squash(returns + discounts * bootstrap) - q_tm1.gather(1, a_tm1[:, None]).squeeze(1)


def huber_gradient(errors: torch.Tensor, weights: torch.Tensor, a_tm1: torch.Tensor, n_actions: int) -> torch.Tensor:
    """Return the gradient [B, A] of the weighted Huber loss with respect to the Q-values whose errors these are."""
    gradient = errors.new_zeros(len(errors), n_actions)
    return gradient.scatter_(1, a_tm1[:, None], (errors.clamp(-1, 1) * weights / -len(errors))[:, None])
