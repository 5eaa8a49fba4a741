from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from retro_gamer.learning.step import (
    double_q_errors,
    huber_gradient,
    initial_priorities,
    squash,
    td_target,
    unsquash,
    weighted_huber,
)

EPSILON = 1e-3


def squash_oracle(x: np.ndarray) -> np.ndarray:
    squashed: np.ndarray = np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + EPSILON * x
    return squashed


def unsquash_by_bisection(y: float) -> float:
    """Return the x whose squashed value is y, found without knowing the closed form."""
    low, high = -1e15, 1e15
    for _ in range(200):
        middle = (low + high) / 2
        if squash_oracle(np.array(middle)) < y:
            low = middle
        else:
            high = middle
    return (low + high) / 2


VALUES = [0.0, 1e-3, -1e-3, 0.01, -0.3, 0.5, 1.0, -1.0, 7.0, -50.0, 4300.0, -1e6, 1e9]


@pytest.mark.parametrize("value", VALUES)
def test_squash_is_the_function_of_the_paper(value: float) -> None:
    assert float(squash(np.array(value))) == pytest.approx(float(squash_oracle(np.array(value))), rel=1e-12)


@pytest.mark.parametrize("value", VALUES)
def test_unsquash_undoes_squash_in_float32(value: float) -> None:
    # Rewards of a thousandth must survive as well as scores of thousands.
    there_and_back = unsquash(squash(np.array([value], np.float32)))
    assert there_and_back.dtype == np.float32
    assert there_and_back[0] == pytest.approx(value, rel=1e-5, abs=2e-6)


@pytest.mark.parametrize("value", [-40.0, -2.0, -0.1, 0.0, 0.02, 1.0, 30.0, 600.0])
def test_unsquash_agrees_with_bisection(value: float) -> None:
    found = float(unsquash(np.array(value)))
    assert found == pytest.approx(unsquash_by_bisection(value), rel=1e-9, abs=1e-9)


def test_squash_keeps_order_and_sign() -> None:
    values = np.linspace(-200, 200, 4001, dtype=np.float32)
    squashed = squash(values)
    assert (np.diff(squashed) > 0).all()
    assert (np.sign(squashed) == np.sign(values)).all()
    assert (squash(-values) == -squashed).all()


def test_td_target_of_a_terminated_transition_is_its_return() -> None:
    target = td_target(np.array([2.5, -1.0]), np.zeros(2), np.array([1e3, -1e3]))
    np.testing.assert_allclose(target, squash_oracle(np.array([2.5, -1.0])), rtol=1e-6)


def test_double_q_errors_take_the_online_choice_at_the_target_value() -> None:
    random = np.random.default_rng(3)
    q_tm1, q_online, q_target = (random.normal(0, 2, (40, 4)) for _ in range(3))
    action = random.integers(0, 4, 40)
    returns, discounts = random.normal(0, 5, 40), random.choice([0.0, 0.9, 0.97], 40)
    expected = []
    for i in range(40):
        best = max(range(4), key=lambda a: q_online[i, a])
        target = squash_oracle(np.array(returns[i] + discounts[i] * unsquash_by_bisection(q_target[i, best])))
        expected.append(float(target) - q_tm1[i, action[i]])
    found = double_q_errors(q_tm1, action, returns, discounts, q_online, q_target)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_weighted_huber_is_the_mean_of_weighted_losses() -> None:
    errors = np.array([0.0, 0.4, -0.4, 1.0, -1.0, 3.0, -10.0])
    weights = np.array([1.0, 0.5, 1.0, 0.25, 1.0, 0.1, 0.7])
    losses = [e * e / 2 if abs(e) <= 1 else abs(e) - 0.5 for e in errors]
    expected = math.fsum(w * loss for w, loss in zip(weights, losses, strict=True)) / len(errors)
    assert weighted_huber(errors, weights) == pytest.approx(expected)


def test_the_gradient_is_the_clipped_error_times_its_weight_at_the_action_taken() -> None:
    errors, weights = np.array([0.4, -3.0, 5.0], np.float32), np.array([1.0, 0.5, 0.0], np.float32)
    gradient = huber_gradient(errors, weights, np.array([2, 0, 1]), 3)
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient * 3, np.array([[0, 0, -0.4], [0.5, 0, 0], [0, 0, 0]]), rtol=1e-6)


def test_the_gradient_is_that_of_torch() -> None:
    random = np.random.default_rng(5)
    q = torch.from_numpy(random.normal(0, 2, (50, 4))).requires_grad_()
    action, target, weights = random.integers(0, 4, 50), random.normal(0, 3, 50), random.random(50)
    errors = torch.from_numpy(target) - q[torch.arange(50), torch.from_numpy(action)]
    losses = functional.huber_loss(errors, torch.zeros_like(errors), reduction="none", delta=1.0)
    loss = (torch.from_numpy(weights) * losses).mean()
    loss.backward()
    assert q.grad is not None
    plain = errors.detach().numpy()
    assert weighted_huber(plain, weights) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(huber_gradient(plain, weights, action, 4), q.grad.numpy(), rtol=1e-9, atol=1e-15)


def test_initial_priorities_are_the_sizes_of_td_errors() -> None:
    returns = np.array([1.0, -2.0, 30.0], np.float32)
    discounts = np.array([0.9, 0.0, 0.81], np.float32)
    q_taken, q_next = np.array([0.1, 0.2, -0.5], np.float32), np.array([1.5, 9.0, -2.0], np.float32)
    expected = []
    for g, d, q, n in zip(returns, discounts, q_taken, q_next, strict=True):
        value = g + d * float(unsquash(np.array([n]))[0])
        expected.append(abs(float(squash(np.array([value], np.float32))[0]) - q))
    found = initial_priorities(returns, discounts, q_taken, q_next)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)
