from __future__ import annotations

import dataclasses

import pytest
import ray

from retro_gamer.backends.ray.engine import explain, join_ray
from retro_gamer.backends.ray.placement import ActorWait, Resources, choose_resources
from retro_gamer.errors import ClusterError, EngineError, UsageError
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.training.planning.allocation import ServiceTimes, allocate_on_cluster, useful_actors

TIMES = ServiceTimes(turn=1e-3, update=1e-3)


@pytest.mark.parametrize(
    ("nodes", "wish", "learner", "replay"),
    [
        ([1, 1, 1], None, 1, 0),
        ([0, 2, 2], None, 1, 1),
        ([8], None, 4, 1),
        ([4, 96], None, 4, 1),
        ([0, 4, 4], 3, 3, 1),
        ([2], None, 1, 0),  # the other is an actor's
        ([4], 3, 3, 0),
        ([4], 500, 500, 1),  # there is no such node yet
    ],
)
def test_the_learner_gets_half_of_the_largest_node_and_replay_a_processor_if_an_actor_has_one_too(
    nodes: list[int], wish: int | None, learner: int, replay: int
) -> None:
    resources = choose_resources(nodes, wish, gpus=0)
    assert (resources.learner_cpus, resources.replay_cpus) == (learner, replay)
    assert resources.bundle == {"CPU": learner + replay}


@pytest.mark.parametrize(("wish", "learner"), [(None, 1), (3, 3)])
def test_a_learner_with_a_gpu_needs_one_processor(wish: int | None, learner: int) -> None:
    resources = choose_resources([16], wish, gpus=1)
    assert (resources.learner_cpus, resources.replay_cpus, resources.learner_gpus) == (learner, 1, 1)


def test_a_gpu_is_reserved_with_them_and_said() -> None:
    resources = Resources(learner_cpus=2, replay_cpus=1, learner_gpus=1)
    assert resources.bundle == {"CPU": 3, "GPU": 1}
    assert "2 CPU and 1 GPU for the learner" in resources.describe()


def test_the_plan_of_a_cluster_counts_what_this_learner_can_use_and_says_who_waits() -> None:
    settings = Hyperparameters(train_every=4)
    useful = useful_actors(settings, TIMES)
    plan = allocate_on_cluster(settings, TIMES, learner_cpus=3, n_free_cpus=2, n_actors=None)
    assert plan.n_actors == useful == 6
    assert plan.learner_threads == 1, "more threads were tried and gained nothing"
    assert f"2 actors can start now. The other {useful - 2} wait" in "\n".join(plan.reasons)
    roomy = allocate_on_cluster(settings, TIMES, learner_cpus=3, n_free_cpus=50, n_actors=9)
    assert roomy.n_actors == 9
    assert "9 actors can start now." in roomy.reasons
    assert roomy.dead_band_turns == 2 * 9 * roomy.grant_turns + 8
    full = allocate_on_cluster(settings, TIMES, learner_cpus=3, n_free_cpus=0, n_actors=9)
    assert any("No actor can start now" in reason for reason in full.reasons)
    threaded = dataclasses.replace(TIMES, learner_threads=4)
    for learner_cpus, expected in ((8, 4), (3, 3)):
        plan = allocate_on_cluster(settings, threaded, learner_cpus=learner_cpus, n_free_cpus=2, n_actors=None)
        assert plan.learner_threads == expected


@pytest.mark.parametrize("address", ["here", "http://head:8265", "head:99999", "head:", ""])
def test_an_address_of_another_form_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(UsageError, match="HOST:PORT"):
        join_ray(address).__enter__()


def test_versions_that_differ_are_named_on_both_sides() -> None:
    said = explain(
        RuntimeError(
            "Version mismatch: The cluster was started with:\n    Ray: 2.59.0\n    Python: 3.12.1\n"
            "This process on node 1.2.3.4 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
        ),
        "1.2.3.4:6379",
    )
    assert isinstance(said, ClusterError)
    assert "There: Ray 2.59.0, Python 3.12.1. Here: Ray 2.60.0, Python 3.11.7." in str(said)


def test_the_wait_for_a_first_actor_is_remarked_on_after_5_seconds_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now, free = 100.0, 0
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": free} if free else {})
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2})
    wait = ActorWait(60, clock=lambda: now)
    assert wait.check(True) is None
    now += 4.9
    assert wait.check(True) is None
    now += 0.2
    assert wait.check(True) == (
        "No actor runs yet: Ray has 0 of 2 CPUs free, and each actor needs 1. Training waits for that, at most 60 "
        "seconds."
    )
    now += 50
    assert wait.check(True) is None, "once is enough"
    assert wait.check(False) is None
    now, free = now + 50, 1
    assert wait.check(True) is None, "the wait begins again"
    now += 59
    assert wait.check(True) is None, "a processor is free, so the process is about to start"
    now += 1
    had_some, free = ActorWait(60, clock=lambda: now), 0
    assert had_some.check(True) is None
    now += 6
    assert had_some.check(True) is None, "the processors may be those of our own actors, which start"
    free = 1
    with pytest.raises(EngineError, match="no actor has started within 66 seconds: Ray has 1 of 2 CPUs free"):
        wait.check(True)
