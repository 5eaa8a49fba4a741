from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from retro_gamer.dqn.loss import double_q_errors, squash, td_target, unsquash, weighted_huber

EPSILON = 1e-3


def squash_oracle(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + EPSILON * x


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
    assert squash(torch.tensor(value, dtype=torch.float64)).item() == pytest.approx(
        float(squash_oracle(np.array(value))), rel=1e-12
    )


@pytest.mark.parametrize("value", VALUES)
def test_unsquash_undoes_squash_in_float32(value: float) -> None:
    # Rewards of a thousandth must survive as well as scores of thousands.
    assert unsquash(squash(torch.tensor(value))).item() == pytest.approx(value, rel=1e-5, abs=2e-6)


@pytest.mark.parametrize("value", [-40.0, -2.0, -0.1, 0.0, 0.02, 1.0, 30.0, 600.0])
def test_unsquash_agrees_with_bisection(value: float) -> None:
    found = unsquash(torch.tensor(value, dtype=torch.float64)).item()
    assert found == pytest.approx(unsquash_by_bisection(value), rel=1e-9, abs=1e-9)


def test_squash_keeps_order_and_sign() -> None:
    values = torch.linspace(-200, 200, 4001)
    squashed = squash(values)
    assert (squashed.diff() > 0).all()
    assert (squashed.sign() == values.sign()).all()
    assert torch.equal(squash(-values), -squashed)


def test_td_target_of_a_terminated_transition_is_its_return() -> None:
    target = td_target(torch.tensor([2.5, -1.0]), torch.zeros(2), torch.tensor([1e3, -1e3]))
    np.testing.assert_allclose(target.numpy(), squash_oracle(np.array([2.5, -1.0])), rtol=1e-6)


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
    found = double_q_errors(*(torch.from_numpy(a) for a in (q_tm1, action, returns, discounts, q_online, q_target)))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-8)


def test_double_q_errors_only_learn_from_the_action_taken() -> None:
    q_tm1 = torch.zeros(2, 3, requires_grad=True)
    q_t = torch.ones(2, 3, requires_grad=True)
    errors = double_q_errors(q_tm1, torch.tensor([2, 0]), torch.ones(2), torch.ones(2), q_t, q_t)
    errors.sum().backward()
    assert q_t.grad is None
    assert q_tm1.grad is not None
    assert q_tm1.grad.tolist() == [[0, 0, -1], [-1, 0, 0]]


def test_weighted_huber_is_the_mean_of_weighted_losses() -> None:
    errors = np.array([0.0, 0.4, -0.4, 1.0, -1.0, 3.0, -10.0])
    weights = np.array([1.0, 0.5, 1.0, 0.25, 1.0, 0.1, 0.7])
    losses = [e * e / 2 if abs(e) <= 1 else abs(e) - 0.5 for e in errors]
    expected = math.fsum(w * loss for w, loss in zip(weights, losses, strict=True)) / len(errors)
    assert weighted_huber(torch.from_numpy(errors), torch.from_numpy(weights)).item() == pytest.approx(expected)


def test_weighted_huber_gradient_is_the_clipped_error_times_its_weight() -> None:
    errors = torch.tensor([0.4, -3.0, 5.0], requires_grad=True)
    weighted_huber(errors, torch.tensor([1.0, 0.5, 0.0])).backward()
    assert errors.grad is not None
    np.testing.assert_allclose(errors.grad.numpy(), np.array([0.4, -0.5, 0.0]) / 3, rtol=1e-6)
