from __future__ import annotations

import pytest
import torch

from retro_gamer.learning.learner import Learner
from retro_gamer.learning.optimizer import WeightAverage
from tests.learning.samples import make_batch, make_settings, make_small_spec


def averaged(window: int, vectors: list[torch.Tensor]) -> WeightAverage:
    average = WeightAverage(torch.zeros_like(vectors[0]), window)
    for n, vector in enumerate(vectors, 1):
        average.update(vector, n)
    return average


def ramp(n: int) -> list[torch.Tensor]:
    return [torch.full((3,), float(i)) for i in range(1, n + 1)]


def test_a_window_of_one_is_the_last_vector() -> None:
    assert torch.equal(averaged(1, ramp(7)).vector, torch.full((3,), 7.0))


@pytest.mark.parametrize("window", [50, 1_000, 10_000])
def test_it_lags_behind_a_ramp_by_about_its_window(window: int) -> None:
    n = 12 * window
    assert averaged(window, ramp(n)).vector.tolist() == pytest.approx([n - window] * 3, abs=0.05 * window)


def test_before_the_window_is_full_it_lags_by_an_eighth_of_what_there_was() -> None:
    # Each step moves by 8 / n of the way: the weight of the i-th of n vectors grows with the seventh power of i.
    n = 400
    expected = sum(i**8 for i in range(1, n + 1)) / sum(i**7 for i in range(1, n + 1))
    assert averaged(10**6, ramp(n)).vector[0].item() == pytest.approx(expected, rel=0.02)


def test_noise_is_averaged_away() -> None:
    generator = torch.Generator().manual_seed(3)
    noisy = [5 + torch.randn(500, generator=generator) for _ in range(4_000)]
    assert averaged(400, noisy).vector.std().item() < 0.1


def test_the_average_is_a_copy_and_leaves_the_vector_alone() -> None:
    vector = torch.ones(3)
    average = WeightAverage(vector, 10)
    average.update(vector * 3, 1)
    assert vector.tolist() == [1, 1, 1]
    assert average.vector.tolist() == [3, 3, 3]


def make_learner(**settings: object) -> Learner:
    return Learner(make_small_spec(n_characters=3), make_settings(**settings), ("a", "b", "c"))


def update(learner: Learner, first: int, last: int) -> None:
    for i in range(first, last):
        learner.update(make_batch(learner.spec, seed=i))


def test_a_state_plays_with_the_average_and_learns_on_with_the_network() -> None:
    averaging, plain = make_learner(), make_learner(weight_averaging=1)
    vectors = []
    for i in range(30):
        update(averaging, i, i + 1)
        vectors.append(torch.from_numpy(averaging.publish().values))
    update(plain, 0, 30)
    state, plain_state = averaging.get_state(), plain.get_state()
    expected = averaged(10_000, vectors).vector
    assert torch.equal(torch.cat([t.flatten() for t in state["model_state_dict"].values()]), expected)
    assert torch.equal(torch.cat([t.flatten() for t in state["online_state_dict"].values()]), vectors[-1])
    for name, tensor in plain_state["model_state_dict"].items():
        assert torch.equal(tensor, plain_state["online_state_dict"][name])
        # Averaging changes what is learned in nothing.
        assert torch.equal(tensor, state["online_state_dict"][name])


def test_a_state_from_before_there_was_an_average_goes_on_from_its_network() -> None:
    learner = make_learner(weight_averaging=1)
    update(learner, 0, 5)
    state = learner.get_state()
    del state["online_state_dict"]
    other = make_learner(seed=9)
    other.set_state(state)
    assert (other.publish().values == learner.publish().values).all()
    for name, tensor in other.get_state()["model_state_dict"].items():
        assert torch.equal(tensor, state["model_state_dict"][name])
