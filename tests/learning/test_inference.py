from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from retro_gamer.learning.inference import InferenceNetwork
from retro_gamer.learning.learner import Learner
from tests.learning.samples import make_batch, make_boards, make_settings, make_small_spec, q_values

KINDS = {"flat": {"spatial": False}, "egocentric": {}, "board": {"has_player": False}}


def make_learner(kind: str, seed: int = 3) -> Learner:
    return Learner(make_small_spec(**KINDS[kind]), make_settings(seed=seed), ("a", "b", "c"))


def learner_values(learner: Learner, boards: tuple[np.ndarray, ...]) -> np.ndarray:
    with torch.no_grad():
        values: np.ndarray = q_values(learner.network, boards).numpy()
    return values


@pytest.mark.parametrize("kind", KINDS)
def test_an_inference_network_that_follows_agrees_with_the_learner(kind: str) -> None:
    learner = make_learner(kind)
    inference = InferenceNetwork(learner.spec)
    assert inference.version == -1
    boards = make_boards(learner.spec, 10)
    for i in range(3):
        learner.update(make_batch(learner.spec, seed=i))
        inference.set_weights(pickle.loads(pickle.dumps(learner.publish())))
        assert inference.version == i + 1
        np.testing.assert_array_equal(inference.evaluate(*boards), learner_values(learner, boards))


@pytest.mark.parametrize("kind", KINDS)
def test_an_inference_network_grows_with_the_character_set(kind: str) -> None:
    learner = make_learner(kind)
    inference = InferenceNetwork(learner.spec)
    inference.set_weights(learner.publish())
    learner.extend(("a", "b", "c", "d", "e"))
    learner.update(make_batch(learner.spec, largest_code=5))
    inference.set_weights(learner.publish())
    assert inference.spec == learner.spec
    boards = make_boards(learner.spec, 10, largest_code=5)
    np.testing.assert_allclose(inference.evaluate(*boards), learner_values(learner, boards), rtol=1e-5, atol=1e-6)


def test_an_inference_network_is_a_copy() -> None:
    learner = make_learner("egocentric")
    inference = InferenceNetwork(learner.spec)
    weights = learner.publish()
    inference.set_weights(weights)
    boards = make_boards(learner.spec, 10)
    before = inference.evaluate(*boards)
    learner.update(make_batch(learner.spec))
    weights.values[:] = 0
    np.testing.assert_array_equal(inference.evaluate(*boards), before)


def test_making_an_inference_network_draws_nothing_from_the_generator() -> None:
    state = torch.get_rng_state()
    InferenceNetwork(make_small_spec())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_loaded_state_dict_gives_the_learners_values() -> None:
    learner = make_learner("egocentric")
    learner.update(make_batch(learner.spec))
    inference = InferenceNetwork(learner.spec)
    inference.load(learner.get_state()["model_state_dict"])
    boards = make_boards(learner.spec, 10)
    np.testing.assert_array_equal(inference.evaluate(*boards), learner_values(learner, boards))
    with pytest.raises(RuntimeError):
        inference.load(make_learner("flat").get_state()["model_state_dict"])
