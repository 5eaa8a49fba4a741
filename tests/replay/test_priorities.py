from __future__ import annotations

import numpy as np
import pytest

from retro_gamer.replay.samplers import SMALLEST_ERROR, Priorities


def _priorities(values: list[float], importance_exponent: float = 0.4) -> Priorities:
    priorities = Priorities(len(values), 0.6, importance_exponent)
    priorities.set(np.arange(len(values)), np.array(values))
    return priorities


def test_priorities_are_errors_to_the_exponent() -> None:
    errors = np.array([0.0, 1.0, -2.0, 1e30], np.float32)
    expected = [(abs(float(error)) + SMALLEST_ERROR) ** 0.6 for error in errors]
    np.testing.assert_allclose(Priorities(1, 0.6, 0.4).of_errors(errors), expected, rtol=1e-12)
    assert Priorities(1, 0.0, 0.4).of_errors(errors).tolist() == [1.0] * 4


@pytest.mark.parametrize("error", [np.nan, np.inf, -np.inf])
def test_an_error_that_is_not_finite_is_refused(error: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Priorities(1, 0.6, 0.4).of_errors(np.array([error], np.float32))


def test_each_batch_draws_once_from_every_equal_share() -> None:
    priorities = _priorities([1.0, 2.0, 0.0, 4.0, 1.0])
    slots = priorities.draw(50, 8, np.random.default_rng(0))
    assert slots.shape == (50, 8)
    # Shares of 1 each: exactly as many of each slot in each batch as its priority says.
    for batch in slots:
        assert batch.tolist() == [0, 1, 1, 3, 3, 3, 3, 4]


def test_slots_are_drawn_in_proportion() -> None:
    values = np.random.default_rng(1).random(40) ** 3
    priorities = _priorities(values.tolist())
    counts = np.bincount(priorities.draw(5000, 7, np.random.default_rng(2)).reshape(-1), minlength=40)
    np.testing.assert_allclose(counts / counts.sum(), values / values.sum(), atol=0.004)


@pytest.mark.parametrize("exponent", [0.0, 0.4, 1.0])
def test_weights_follow_the_formula_with_each_batch_scaled_to_one(exponent: float) -> None:
    values = [0.5, 1.0, 2.0, 6.5]
    priorities = _priorities(values, exponent)
    weights = priorities.weights(np.array([[0, 1, 3], [3, 3, 2]]), 4)
    chances = [value / 10 for value in values]
    raw = [(4 * chance) ** -exponent for chance in chances]
    expected = [[raw[0] / raw[0], raw[1] / raw[0], raw[3] / raw[0]], [raw[3] / raw[2], raw[3] / raw[2], 1.0]]
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_full_correction_makes_the_weighted_mean_that_of_uniform_draws() -> None:
    random = np.random.default_rng(3)
    values = random.random(200) + 0.05
    payload = random.normal(size=200)
    priorities = _priorities(values.tolist(), 1.0)
    slots = priorities.draw(1, 200_000, random)
    weights = priorities.weights(slots, 200).astype(np.float64)
    assert abs((weights * payload[slots]).sum() / weights.sum() - payload.mean()) < 0.01
    assert abs(payload[slots].mean() - payload.mean()) > 0.01, "without the weights it is another mean"
