from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from retro_gamer.learning import cuda_graph_step, step
from retro_gamer.learning.cuda_graph_step import CudaGraphStep, Staging
from retro_gamer.learning.learner import Learner
from retro_gamer.learning.step import EagerStep
from tests.learning.samples import make_batch, make_boards, make_settings, make_small_spec, q_values
from tests.learning.test_learner import KINDS, check_that_it_leaves_everything_as_it_was

RECORDED = ("egocentric", "egocentric, not dueling", "board", "linear board")
"""Kinds of network of which a step can be recorded."""
DEVICES = ("cpu", pytest.param("cuda", marks=pytest.mark.gpu))


def make_learner(kind: str, device: str = "cpu", n_characters: int = 3, **settings: Any) -> Learner:
    spec = make_small_spec(n_characters=n_characters, **KINDS[kind])
    return Learner(spec, make_settings(**settings), tuple("abcdef"[:n_characters]), device)


def make_recorded(kind: str, device: str, **settings: Any) -> Learner:
    """Return a learner that takes recorded steps; on the CPU none does of itself."""
    learner = make_learner(kind, device, **settings)
    if device == "cpu":
        assert isinstance(learner._step, EagerStep)
        learner._step = CudaGraphStep(learner._step.context)
    assert isinstance(learner._step, CudaGraphStep)
    return learner


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", RECORDED)
class TestRecordedSteps:
    @pytest.mark.parametrize("max_gradient_norm", [10.0, 0.05])
    def test_they_are_those_of_plain_ones(self, kind: str, device: str, max_gradient_norm: float) -> None:
        settings: dict[str, Any] = {
            "learning_rate": 0.01,
            "target_update_freq": 3,
            "max_gradient_norm": max_gradient_norm,
        }
        plain, recorded = make_learner(kind, **settings), make_recorded(kind, device, **settings)
        for i in range(20):
            if i == 8:
                plain.set_learning_rate(0.002)
                recorded.set_learning_rate(0.002)
            batch = make_batch(plain.spec, count=16 if i < 14 else 5, seed=i)
            expected, result = plain.update(batch), recorded.update(batch)
            assert result.loss == pytest.approx(expected.loss, rel=1e-3)
            assert result.largest_q == pytest.approx(expected.largest_q, rel=1e-3, abs=1e-4)
            np.testing.assert_allclose(result.errors, expected.errors, rtol=1e-2, atol=1e-3)
        np.testing.assert_allclose(recorded.publish().values, plain.publish().values, rtol=1e-2, atol=1e-3)
        first, second = recorded.get_state(), plain.get_state()
        for name, average in second["model_state_dict"].items():
            torch.testing.assert_close(first["model_state_dict"][name], average, rtol=1e-2, atol=1e-3)
        assert first["optimizer_state_dict"]["step"] == second["optimizer_state_dict"]["step"] == 20

    @pytest.mark.parametrize("poison", [np.nan, np.inf])
    @pytest.mark.parametrize("field", ["returns", "weights"])
    def test_a_batch_that_is_not_finite_leaves_everything_as_it_was(
        self, kind: str, device: str, field: str, poison: float
    ) -> None:
        check_that_it_leaves_everything_as_it_was(make_recorded(kind, device), field, poison)

    def test_recording_changes_no_weight(self, kind: str, device: str) -> None:
        learner = make_recorded(kind, device, learning_rate=0.01)
        learner.set_learning_rate(0.0)
        before = learner.publish().values
        learner.update(make_batch(learner.spec))
        np.testing.assert_array_equal(learner.publish().values, before)
        assert learner.get_state()["optimizer_state_dict"]["step"] == 1


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
class TestOnADevice:
    def test_a_checkpoint_can_be_read_and_continued_anywhere(self, kind: str, device: str) -> None:
        learner = make_learner(kind, device)
        for i in range(3):
            learner.update(make_batch(learner.spec, seed=i))
        state = learner.get_state()
        tensors = [t for part in ("model_state_dict", "target_state_dict") for t in state[part].values()]
        tensors += state["optimizer_state_dict"]["exp_avg"].values()
        assert {tensor.device.type for tensor in tensors} == {"cpu"}
        there = make_learner(kind, "cpu", seed=9)
        there.set_state(copy.deepcopy(state))
        boards = make_boards(learner.spec, 20)
        torch.testing.assert_close(q_values(there.network, boards), q_values(learner.network, boards).cpu())
        back = make_learner(kind, device, seed=10)
        back.set_state(there.get_state())
        batch = make_batch(learner.spec, seed=7)
        assert back.update(batch).loss == pytest.approx(there.update(batch).loss, rel=1e-3)

    def test_a_new_character_is_learned_there(self, kind: str, device: str) -> None:
        learner, plain = make_learner(kind, device), make_learner(kind)
        for i in range(8):
            if i == 4:
                learner.extend(("a", "b", "c", "d"))
                plain.extend(("a", "b", "c", "d"))
            batch = make_batch(plain.spec, seed=i, largest_code=4 if i > 4 else 3)
            assert learner.update(batch).loss == pytest.approx(plain.update(batch).loss, rel=1e-3)


@pytest.mark.gpu
def test_what_can_be_recorded_is() -> None:
    for kind in KINDS:
        learner = make_learner(kind, "cuda")
        learner.update(make_batch(learner.spec))
        step = learner._step
        assert isinstance(step, CudaGraphStep) == (kind in RECORDED)
        assert not isinstance(step, CudaGraphStep) or step._graph is not None


def test_the_loss_of_tensors_is_that_of_arrays() -> None:
    random = np.random.default_rng(0)
    shape = (200, 4)
    values = [(10.0 ** random.uniform(-4, 4, shape) * random.choice([-1, 1], shape)).astype(np.float32) for _ in "abc"]
    action = random.integers(0, 4, 200)
    returns = random.normal(0, 30, 200).astype(np.float32)
    discounts = random.choice(np.array([0.0, 0.9], np.float32), 200)
    weights = random.uniform(0, 1, 200).astype(np.float32)
    squashed = [step.squash(value) for value in values]

    def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
        return [torch.from_numpy(array) for array in arrays]

    np.testing.assert_allclose(cuda_graph_step.squash(*tensors(values[0])), squashed[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(cuda_graph_step.unsquash(*tensors(squashed[0])), values[0], rtol=1e-3, atol=1e-4)
    q_tm1, q_online, q_target = squashed
    expected = step.double_q_errors(q_tm1, action, returns, discounts, q_online, q_target)
    errors = cuda_graph_step.double_q_errors(*tensors(q_tm1, action, returns, discounts, q_online, q_target))
    np.testing.assert_allclose(errors, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        cuda_graph_step.huber_gradient(errors, torch.from_numpy(weights), torch.from_numpy(action), 4),
        step.huber_gradient(expected, weights, action, 4),
        rtol=1e-3,
        atol=1e-6,
    )


def test_arrays_are_staged_whatever_their_types_and_sizes() -> None:
    arrays = (np.arange(7, dtype=np.uint8), np.arange(6, dtype=np.int64).reshape(2, 3), np.array([0.5], np.float32))
    staging = Staging(arrays, torch.device("cpu"))
    staging.fill(arrays)
    staging.send()
    assert [tensor.tolist() for tensor in staging.tensors] == [array.tolist() for array in arrays]
    assert staging.fits([array + 1 for array in arrays])
    assert not staging.fits([arrays[0], arrays[1].reshape(3, 2), arrays[2]])
    assert not staging.fits([arrays[0], arrays[1], arrays[2].astype(np.float64)])
