"""The arithmetic of DQN: rescaled values, double-Q n-step targets and the weighted Huber loss.

Letters are the papers': s_tm1, a_tm1 the state and action at the start of a transition, s_t the state n steps later.
"""

from __future__ import annotations

import torch
from torch.nn import functional

SQUEEZE = 1e-3


def squash(value: torch.Tensor) -> torch.Tensor:
    """Return h(x) = sign(x) (sqrt(|x| + 1) - 1) + SQUEEZE x, so that returns of any size suit one learning rate.

    Pohlen et al. 2018, "Observe and Look Further", section 3.2.
    """
    return value.sign() * (torch.sqrt(value.abs() + 1) - 1) + SQUEEZE * value


def unsquash(value: torch.Tensor) -> torch.Tensor:
    """Return the inverse of `squash`."""
    shifted = value.abs() + 1 + SQUEEZE
    root = torch.sqrt(1 + 4 * SQUEEZE * shifted)
    # This is the paper's (root - 1) / (2 SQUEEZE), without its difference, which in float32 loses rewards below 1e-4.
    return value.sign() * (torch.square(2 * shifted / (root + 1)) - 1)


def td_target(returns: torch.Tensor, discounts: torch.Tensor, q_t: torch.Tensor) -> torch.Tensor:
    """Return the squashed n-step target [B] from rewards summed over n steps and the squashed value of s_t.

    `discounts` is gamma to the number of steps taken, and 0 where the game terminated.
    """
    return squash(returns + discounts * unsquash(q_t))


def double_q_errors(
    q_tm1: torch.Tensor,
    a_tm1: torch.Tensor,
    returns: torch.Tensor,
    discounts: torch.Tensor,
    q_t_online: torch.Tensor,
    q_t_target: torch.Tensor,
) -> torch.Tensor:
    """Return temporal-difference errors [B]: target minus estimate (van Hasselt et al. 2016, double DQN)."""
    best = q_t_online.argmax(dim=1, keepdim=True)
    target = td_target(returns, discounts, q_t_target.gather(1, best).squeeze(1))
    return target.detach() - q_tm1.gather(1, a_tm1[:, None]).squeeze(1)


def weighted_huber(errors: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the mean Huber loss (quadratic up to 1) of `errors`, each times its importance weight."""
    losses = functional.huber_loss(errors, torch.zeros_like(errors), reduction="none", delta=1.0)
    return (weights * losses).mean()
