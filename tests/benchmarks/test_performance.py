"""The measurements themselves, made tiny: that they run and hold what they say, never how fast anything is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.performance import one_actor, one_update, replay_memory
from benchmarks.performance.flops import count_forward_flops, count_update_flops
from benchmarks.performance.run_specs import SNAKE, make_learner, make_random_batch, temporary_run_spec
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.training.planning.run_spec import RunSpec

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def run_spec() -> Iterator[RunSpec]:
    with temporary_run_spec(SNAKE, prioritize_experiences=True, memory_capacity=2000, batch_size=16) as made:
        yield made


def test_update_is_measured_with_all_its_parts(run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_update, "WARM_UPDATES", 1)
    found = one_update.measure_update(run_spec, n_updates=2, n_threads=1, turns=600)
    assert found["floor_seconds"] == pytest.approx(found["flops"] / found["gflops"] / 1e9)
    for part in ("sample_seconds", "update_seconds", "priorities_seconds"):
        assert found[part] > 0
    assert found["parameters"] == make_learner(run_spec).network.n_parameters
    assert found["batch_size"] == 16


def test_actor_pushes_what_it_plays(run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_actor, "WARM_TURNS", 64)
    assert one_actor.measure_actor(run_spec, epsilon=1.0, seconds=0.05)["turns_per_second"] > 0
    create_game = load_factory(find_source(SNAKE))
    assert one_actor.measure_bare_game(create_game, run_spec.metadata.actions, 0.05) > 0


def test_replay_is_measured_when_it_is_full(run_spec: RunSpec) -> None:
    found = replay_memory.measure_replay(run_spec, repetitions=3, turns=1200)
    assert found["records"] == run_spec.settings.memory_capacity
    assert found["bytes_per_transition"] > run_spec.network.height * run_spec.network.width


def test_an_update_counts_more_than_three_passes_and_grows_with_the_batch(run_spec: RunSpec) -> None:
    learner = make_learner(run_spec)
    small, large = make_random_batch(run_spec.network, 8), make_random_batch(run_spec.network, 16)
    forward = count_forward_flops(learner.network, small)
    assert count_update_flops(learner, small) > 3 * forward
    assert count_update_flops(learner, large) == pytest.approx(2 * count_update_flops(learner, small), rel=0.01)


STRIDED = """
from benchmarks.performance import strided
from benchmarks.performance.flops import count_forward_flops
from benchmarks.performance.run_specs import SNAKE, make_learner, make_random_batch, temporary_run_spec, play_blocks
from retro_gamer.backends import replay_service

with temporary_run_spec(SNAKE) as work:
    learner = make_learner(work)
    assert learner.network.n_parameters == strided.N_PARAMETERS, learner.network.n_parameters
    assert replay_service.make_extractor is strided.StridedExtractor
    batch = make_random_batch(work.network, 2)
    learner.update(batch)
    blocks = play_blocks(work, 64, epsilon=0.0)  # the actor loads its weights, so it has the same network
    assert sum(block.turns for block in blocks) >= 64
    # By hand: 2 operations for each weight of a layer at each of its places.
    convolutions = 6 * 32 * 9 * (8 * 16) + 32 * 64 * 9 * (4 * 8)
    linear = 64 * 4 * 8 * 128 + 128 * 128 + 128 * 5
    assert count_forward_flops(learner.network, batch) == 2 * 2 * (convolutions + linear)
print("same network, same operations")
"""


def test_the_strided_network_is_that_of_the_peer_in_learner_and_actor_and_its_operations_are_counted_right() -> None:
    done = subprocess.run([sys.executable, "-c", STRIDED], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout == "same network, same operations\n", done.stderr
