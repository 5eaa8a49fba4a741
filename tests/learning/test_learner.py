from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from retro_gamer.learning.learner import NETWORKS, Learner, grow_learner_state
from retro_gamer.learning.networks import make_network
from retro_gamer.learning.optimizer import MOMENTS
from retro_gamer.learning.step import squash, unsquash
from retro_gamer.replay.transitions import Batch
from tests.learning.samples import features_of, make_batch, make_boards, make_settings, make_small_spec, q_values

KINDS: dict[str, dict[str, Any]] = {
    "flat": {"spatial": False},
    "linear flat": {"spatial": False, "n_layers": 0},
    "egocentric": {},
    "egocentric, not dueling": {"dueling": False},
    "board": {"has_player": False},
    "linear board": {"has_player": False, "n_layers": 0},
}


def make_learner(kind: str = "egocentric", n_characters: int = 3, **settings: Any) -> Learner:
    spec = make_small_spec(n_characters=n_characters, **KINDS[kind])
    return Learner(spec, make_settings(**settings), tuple("abcdef"[:n_characters]))


def weights_of(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in learner.network.named_parameters()}


def same(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else bool(first == second)


def h(x: torch.Tensor) -> torch.Tensor:
    return x.sign() * ((x.abs() + 1).sqrt() - 1) + 1e-3 * x


def inverse_h(y: torch.Tensor) -> torch.Tensor:
    y = y.double()
    x = (((1 + 4e-3 * (y.abs() + 1 + 1e-3)).sqrt() - 1) / 2e-3) ** 2 - 1
    return (y.sign() * x).float()


class PlainDqn:
    """Double DQN as one would first write it: two networks, torch's own loss and clipping, an unfused Adam."""

    def __init__(self, learner: Learner, **settings: Any) -> None:
        self.settings = make_settings(**settings)
        self.online, self.target = make_network(learner.spec), make_network(learner.spec)
        self.online.load_state_dict(learner.network.state_dict())
        self.target.load_state_dict(learner.network.state_dict())
        self.adam = torch.optim.Adam(self.online.parameters(), lr=self.settings.learning_rate, fused=False)
        self.updates = 0

    def update(self, batch: Batch) -> tuple[float, np.ndarray]:
        t = {name: torch.from_numpy(getattr(batch, name)) for name in Batch.__dataclass_fields__}
        here = features_of(self.online, (batch.codes, batch.player, batch.state))
        there = features_of(self.online, (batch.next_codes, batch.next_player, batch.next_state))
        best = self.online(there).argmax(dim=1, keepdim=True)
        with torch.no_grad():
            bootstrap = inverse_h(self.target(there).gather(1, best).squeeze(1))
        errors = h(t["returns"] + t["discounts"] * bootstrap) - self.online(here).gather(1, t["action"][:, None])[:, 0]
        losses = functional.huber_loss(errors, torch.zeros_like(errors), reduction="none")
        loss = (t["weights"] * losses).mean()
        self.adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.online.parameters(), self.settings.max_gradient_norm)
        self.adam.step()
        self.updates += 1
        if self.updates % self.settings.target_update_freq == 0:
            self.target.load_state_dict(self.online.state_dict())
        return loss.item(), errors.detach().numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_gradient_norm", [10.0, 0.05])
def test_updates_are_those_of_a_plain_double_dqn(kind: str, max_gradient_norm: float) -> None:
    settings: dict[str, Any] = {"learning_rate": 0.01, "target_update_freq": 3, "max_gradient_norm": max_gradient_norm}
    learner = make_learner(kind, **settings)
    plain = PlainDqn(learner, **settings)
    for i in range(10):
        batch = make_batch(learner.spec, seed=i)
        result = learner.update(batch)
        loss, errors = plain.update(batch)
        assert result.loss == pytest.approx(loss, rel=1e-3)
        np.testing.assert_allclose(result.errors, errors, rtol=1e-2, atol=1e-3)
    for name, parameter in plain.online.named_parameters():
        torch.testing.assert_close(weights_of(learner)[name], parameter.data, rtol=1e-2, atol=1e-3)


def test_the_target_is_copied_every_target_update_freq_updates_and_not_between() -> None:
    learner = make_learner(target_update_freq=3)
    expected = weights_of(learner)
    for i in range(1, 10):
        learner.update(make_batch(learner.spec, seed=i))
        if i % 3 == 0:
            expected = weights_of(learner)
        target = dict(learner.target_network.named_parameters())
        assert all(torch.equal(expected[name], target[name]) for name in expected), i


def test_the_largest_q_is_that_of_the_batch_in_units_of_reward() -> None:
    learner = make_learner("egocentric, not dueling")
    with torch.no_grad():
        head: Any = learner.network.head
        head[-1].bias.copy_(torch.tensor([0.0, -float(squash(np.array(500.0, np.float32))), 2.0]))
    batch = make_batch(learner.spec)
    q = q_values(learner.network, (batch.codes, batch.player, batch.state))
    expected = float(np.abs(unsquash(q.double().numpy())).max())
    assert 300 < expected < 700
    assert learner.update(batch).largest_q == pytest.approx(expected, rel=1e-4)


def test_updates_fit_returns_that_depend_on_the_board() -> None:
    settings = make_settings(learning_rate=0.01, layer_size=32)  # of 8 units too many may start out dead
    learner = Learner(make_small_spec(layer_size=32), settings, ("a", "b", "c"))
    batch = make_batch(learner.spec, count=8)
    batch = dataclasses.replace(batch, discounts=np.zeros(8, np.float32), weights=np.ones(8, np.float32))
    losses = [learner.update(batch).loss for _ in range(300)]
    assert losses[-1] < losses[0] / 100


def check_that_it_leaves_everything_as_it_was(learner: Learner, field: str, poison: float) -> None:
    """Let a learner meet a batch that is not finite in one value of a field."""
    learner.update(make_batch(learner.spec))
    before = learner.get_state()
    batch = make_batch(learner.spec, seed=1)
    getattr(batch, field)[3] = poison
    result = learner.update(batch)
    assert result.skipped
    assert np.isnan(result.loss)
    assert result.errors.tolist() == [0.0] * len(batch)
    after = learner.get_state()
    assert after.pop("skipped_updates") == before.pop("skipped_updates") + 1
    assert same(before, after)
    assert not learner.update(make_batch(learner.spec, seed=2)).skipped


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("field", ["returns", "weights"])
def test_a_batch_that_is_not_finite_leaves_everything_as_it_was(field: str, poison: float) -> None:
    check_that_it_leaves_everything_as_it_was(make_learner(), field, poison)


def test_a_state_set_into_another_learner_gives_the_same_updates_bit_for_bit() -> None:
    learner = make_learner(target_update_freq=4)
    for i in range(6):
        learner.update(make_batch(learner.spec, seed=i))
    learner.set_learning_rate(0.0003)
    state = copy.deepcopy(learner.get_state())
    other = make_learner(target_update_freq=4, seed=99)
    other.set_state(state)
    draws = torch.rand(3)
    torch.set_rng_state(state["torch_generator"])
    assert torch.equal(torch.rand(3), draws)
    for i in range(6, 16):
        batch = make_batch(learner.spec, seed=i)
        mine, others = learner.update(batch), other.update(batch)
        assert mine.loss == others.loss
        np.testing.assert_array_equal(mine.errors, others.errors)
    del state["torch_generator"]
    first, second = learner.get_state(), other.get_state()
    assert same(first, second)
    assert first["total_steps"] == 16


def test_a_state_before_the_first_update_is_whole() -> None:
    learner, other = make_learner(), make_learner(seed=5)
    other.set_state(learner.get_state())
    batch = make_batch(learner.spec)
    assert learner.update(batch).loss == other.update(batch).loss
    assert same(weights_of(learner), weights_of(other))


def test_a_state_is_a_copy() -> None:
    learner = make_learner()
    learner.update(make_batch(learner.spec))
    state = learner.get_state()
    kept = copy.deepcopy(state)
    learner.update(make_batch(learner.spec, seed=1))
    assert same(state, kept)


def test_a_state_of_another_network_is_refused() -> None:
    with pytest.raises(RuntimeError):
        make_learner().set_state(make_learner(n_characters=2).get_state())


def test_published_weights_are_a_copy_in_the_order_of_parameters() -> None:
    learner = make_learner()
    learner.update(make_batch(learner.spec))
    weights = learner.publish()
    assert weights.version == 1
    assert weights.characters == ("a", "b", "c")
    expected = np.concatenate([p.detach().numpy().ravel() for p in learner.network.parameters()])
    np.testing.assert_array_equal(weights.values, expected)
    assert weights.values.dtype == np.float32
    assert len(weights.values) == learner.network.n_parameters
    learner.update(make_batch(learner.spec, seed=1))
    np.testing.assert_array_equal(weights.values, expected)


def test_the_seed_decides_the_weights() -> None:
    assert same(weights_of(make_learner(seed=3)), weights_of(make_learner(seed=3)))
    assert not same(weights_of(make_learner(seed=3)), weights_of(make_learner(seed=4)))


def test_moments_never_decay_into_the_slow_range_below_1e_38() -> None:
    learner = make_learner("flat")
    batch = make_batch(learner.spec, 4)
    learner.update(batch)
    moments = learner._optimizer.moments
    untouched = moments["exp_avg"] == 0
    assert untouched.any()
    for moment in MOMENTS:
        moments[moment][untouched] = 1e-39
    learner.update(batch)
    for moment in MOMENTS:
        assert not moments[moment][untouched].any()
    assert torch.tensor([1e-39]).add(0.0).item() > 0, "the rest of the thread keeps such numbers"


def test_the_learning_rate_is_the_one_set() -> None:
    learner = make_learner(learning_rate=0.01)
    before = weights_of(learner)
    learner.set_learning_rate(0.0)
    learner.update(make_batch(learner.spec))
    assert same(before, weights_of(learner))


@pytest.mark.parametrize("kind", KINDS)
class TestGrowth:
    def test_boards_without_the_new_character_keep_their_values(self, kind: str) -> None:
        learner = make_learner(kind, target_update_freq=4)
        for i in range(6):
            learner.update(make_batch(learner.spec, seed=i))
        boards = make_boards(learner.spec, 200, seed=9)
        before, target = q_values(learner.network, boards), q_values(learner.target_network, boards)
        learner.extend(("a", "b", "c", "d", "e"))
        assert learner.spec.n_characters == 5
        torch.testing.assert_close(q_values(learner.network, boards), before, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(q_values(learner.target_network, boards), target, rtol=1e-5, atol=1e-6)

    def test_moments_stand_where_their_weights_stand(self, kind: str) -> None:
        learner = make_learner(kind)
        for i in range(4):
            learner.update(make_batch(learner.spec, seed=i))
        before = learner.get_state()
        axes = learner.network.character_axes()
        learner.extend(("a", "b", "c", "d"))
        after = learner.get_state()
        assert after["optimizer_state_dict"]["step"] == before["optimizer_state_dict"]["step"]
        for part in (*NETWORKS, *MOMENTS):
            old, new = ((s[part] if part in s else s["optimizer_state_dict"][part]) for s in (before, after))
            for name, tensor in old.items():
                if name not in axes:
                    assert torch.equal(new[name], tensor), (part, name)
                    continue
                # What is not zero is the same, in the same order; all that is new is zero.
                assert torch.equal(new[name][new[name] != 0], tensor[tensor != 0]), (part, name)

    def test_learning_goes_on_as_if_nothing_had_happened(self, kind: str) -> None:
        grown, ungrown = make_learner(kind, target_update_freq=3), make_learner(kind, target_update_freq=3)
        for i in range(12):
            batch = make_batch(ungrown.spec, seed=i)
            if i == 5:
                grown.extend(("a", "b", "c", "d"))
            first, second = grown.update(batch), ungrown.update(batch)
            assert first.loss == pytest.approx(second.loss, rel=1e-4, abs=1e-6)
            np.testing.assert_allclose(first.errors, second.errors, rtol=1e-3, atol=1e-4)
        boards = make_boards(ungrown.spec, 50, seed=77)
        torch.testing.assert_close(
            q_values(grown.network, boards), q_values(ungrown.network, boards), rtol=1e-3, atol=1e-4
        )
        assert grown.total_updates == ungrown.total_updates == 12

    def test_weights_of_the_new_character_stay_zero_until_it_is_seen(self, kind: str) -> None:
        learner = make_learner(kind)
        old_spec = learner.spec
        learner.update(make_batch(old_spec))
        learner.extend(("a", "b", "c", "d"))
        for i in range(3):
            learner.update(make_batch(old_spec, seed=i))
        shrunk = grow_learner_state(make_learner(kind).get_state(), learner.network, 3, 4)["model_state_dict"]
        fresh = {name: tensor == 0 for name, tensor in shrunk.items()}
        state = learner.get_state()["model_state_dict"]
        for name in learner.network.character_axes():
            assert not state[name][fresh[name]].any(), name
        learner.update(make_batch(learner.spec, seed=50, largest_code=4))
        state = learner.get_state()["model_state_dict"]
        for name in learner.network.character_axes():
            assert state[name][fresh[name]].any(), name

    def test_boards_with_the_new_character_are_learned(self, kind: str) -> None:
        learner = make_learner(kind, learning_rate=0.02)
        old_spec = learner.spec
        learner.extend(("a", "b", "c", "d"))
        codes, player, state = make_boards(old_spec, 8, seed=4)
        codes[:, 1, 1] = [0, 4] * 4
        player[:], state[:] = (2, 2), 0
        codes[1::2] = np.where(codes[1::2] == 4, 4, codes[::2])  # pairs that differ by the new character only
        batch = dataclasses.replace(
            make_batch(old_spec, 8),
            codes=codes,
            player=player,
            state=state,
            action=np.zeros(8, np.int64),
            returns=np.array([0, 5] * 4, np.float32),
            discounts=np.zeros(8, np.float32),
            weights=np.ones(8, np.float32),
        )
        losses = [learner.update(batch).loss for _ in range(300)]
        assert losses[-1] < losses[0] / 50

    def test_learning_rate_counters_and_random_state_go_on(self, kind: str) -> None:
        learner = make_learner(kind)
        learner.update(make_batch(learner.spec))
        learner.set_learning_rate(0.00025)
        generator = torch.get_rng_state()
        learner.extend(("a", "b", "c", "d"))
        assert torch.equal(torch.get_rng_state(), generator)
        assert learner.total_updates == 1
        assert learner.characters == ("a", "b", "c", "d")
        assert learner.get_state()["optimizer_state_dict"]["learning_rate"] == 0.00025
        assert learner.publish().characters == ("a", "b", "c", "d")

    def test_growing_from_no_character_at_all(self, kind: str) -> None:
        learner = make_learner(kind, n_characters=0)
        learner.update(make_batch(learner.spec))
        boards = make_boards(learner.spec, 10)
        before = q_values(learner.network, boards)
        learner.extend(("a", "b"))
        torch.testing.assert_close(q_values(learner.network, boards), before, rtol=1e-5, atol=1e-6)
        assert not learner.update(make_batch(learner.spec)).skipped

    def test_a_grown_state_agrees_with_a_learner_made_that_large(self, kind: str) -> None:
        learner = make_learner(kind)
        learner.update(make_batch(learner.spec))
        learner.extend(("a", "b", "c", "d"))
        large = make_learner(kind, n_characters=4, seed=8)
        large.set_state(learner.get_state())
        batch = make_batch(learner.spec, seed=3, largest_code=4)
        assert learner.update(batch).loss == large.update(batch).loss
        assert same(weights_of(learner), weights_of(large))


@pytest.mark.parametrize("characters", [("a", "b"), ("b", "a", "c", "d"), ("x", "a", "b", "c")])
def test_a_character_set_that_does_not_continue_the_old_one_is_refused(characters: tuple[str, ...]) -> None:
    learner = make_learner()
    before = weights_of(learner)
    with pytest.raises(ValueError, match="continue"):
        learner.extend(characters)
    assert same(before, weights_of(learner))


def test_arrays_that_are_read_only_are_taken() -> None:
    learner, other = make_learner(), make_learner()
    batch = make_batch(learner.spec)
    expected = other.update(make_batch(learner.spec)).loss
    for name in Batch.__dataclass_fields__:
        getattr(batch, name).flags.writeable = False
    assert learner.update(batch).loss == expected
