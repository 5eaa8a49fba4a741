from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray.exceptions import ActorUnavailableError

from retro_gamer.acting.actor import Grant, Report
from retro_gamer.backends.ray import placement, worker_pool
from retro_gamer.backends.ray.actor_process import CrashReport
from retro_gamer.backends.ray.placement import THIS_MACHINE, Placement
from retro_gamer.backends.ray.worker_pool import RayWorkerPool
from retro_gamer.errors import EngineError, GameFailedError, UsageError
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.learner import Learner
from retro_gamer.training.loop.backend import ActorLost, GrantReported, ReplayLost, WorkerEvent, WorkerRemark
from retro_gamer.training.planning.allocation import ServiceTimes, allocate
from retro_gamer.training.planning.run_spec import RunSpec
from tests.training.planning.test_run_spec import make_run_spec

pytestmark = pytest.mark.usefixtures("local_ray")

REPORT = Report(
    episodes=(), unused_tickets=(), turns=1, replay_turns=1, unknown_characters={}, failures=(), version=0, seconds=0.1
)


class PlayingLight:
    """Stands in for the process that plays: quick to start, it does what the number of its seed and grant says."""

    def __init__(self, run_spec: RunSpec, crash_report: Any, *, n_games: int, block_turns: int, seed: int) -> None:
        self.seed = seed

    def play(self, grant: Grant, weights: Any, replay: Any) -> Report:
        match grant.tickets:
            case ("fail",):
                raise GameFailedError("game.py:3: ZeroDivisionError")
            case ("raise",):
                raise IndexError("no such row\nin any block")
            case ("push to a dead replay",):
                ray.get(replay.push.remote(None))
            case ("push over a link that is cut",):
                raise ActorUnavailableError("socket closed", replay._actor_id.binary())
            case ("recycle",):
                return dataclasses.replace(REPORT, recycled="it has grown", turns=self.seed)
            case ("wait",):
                threading.Event().wait()
            case ("return what cannot travel",):
                return threading.Lock()  # type: ignore[return-value]
        return dataclasses.replace(REPORT, version=weights.version, turns=self.seed)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayWorkerPool]:
    monkeypatch.setattr(worker_pool, "ActorProcess", PlayingLight)
    run_spec = make_run_spec(tmp_path, batch_size=4, learning_starts=0)
    made = RayWorkerPool(run_spec, allocate(run_spec.settings, ServiceTimes(turn=1e-4, update=1e-3), 2, 1), seed=3)
    made.publish(Learner(run_spec.network, run_spec.settings, ("@", ">")).publish())
    yield made
    made.close()


def play(runtime: RayWorkerPool, *tickets: Any) -> WorkerEvent:
    runtime.grant(0, Grant(turns=1, seconds=1, epsilon=0, tickets=tickets))
    events: list[WorkerEvent] = []
    while not events:
        events = runtime.poll(5.0)
    (event,) = events
    assert not isinstance(event, WorkerRemark)
    return event


def test_a_grant_is_answered_once_and_weights_arrive_by_reference(runtime: RayWorkerPool) -> None:
    assert runtime.poll(0.0) == []
    event = play(runtime)
    assert isinstance(event, GrantReported)
    assert (event.actor, event.report.version) == (0, 0)
    assert runtime.poll(0.0) == []
    assert isinstance(runtime._weights, ray.ObjectRef)


def test_an_actor_that_raises_is_replaced_by_one_with_a_seed_of_its_own(runtime: RayWorkerPool) -> None:
    first = play(runtime)
    lost = play(runtime, "raise")
    assert isinstance(lost, ActorLost)
    assert lost.reason == "IndexError: no such row"
    second = play(runtime)
    assert isinstance(first, GrantReported)
    assert isinstance(second, GrantReported)
    assert second.report.turns != first.report.turns


def test_a_failure_of_the_game_keeps_its_kind_and_its_words(runtime: RayWorkerPool) -> None:
    with pytest.raises(GameFailedError) as raised:
        play(runtime, "fail")
    assert str(raised.value) == "game.py:3: ZeroDivisionError"


def test_an_actor_that_is_recycled_is_replaced_and_its_report_counts(runtime: RayWorkerPool) -> None:
    recycled, second = play(runtime, "recycle"), play(runtime)
    assert isinstance(recycled, GrantReported)
    assert isinstance(second, GrantReported)
    assert recycled.report.recycled == "it has grown"
    assert second.report.turns == recycled.report.turns + 1


def test_a_report_that_cannot_travel_is_a_loss(runtime: RayWorkerPool) -> None:
    assert isinstance(play(runtime, "return what cannot travel"), ActorLost)


def lose_replay(runtime: RayWorkerPool) -> None:
    ray.kill(runtime.replay.process)


def test_a_replay_found_lost_by_sampling_is_replaced_and_told_before_it_is_sampled(
    runtime: RayWorkerPool,
) -> None:
    assert isinstance(play(runtime), GrantReported)
    lose_replay(runtime)
    assert runtime.replay.next_batch(1, runtime.replay._network) is None
    runtime.replay.update_priorities(np.array([0]), np.ones(1, np.float32))
    assert runtime.replay._errors == []  # they name records of the memory that is gone
    assert runtime.replay.next_batch(1, runtime.replay._network) is None
    (event,) = runtime.poll(0.0)
    assert isinstance(event, ReplayLost)
    assert event.reason
    assert isinstance(play(runtime), GrantReported)
    with pytest.raises(EngineError, match="empty"):
        runtime.replay.next_batch(1, runtime.replay._network)


def test_a_replay_found_lost_by_an_actor_costs_its_grant(runtime: RayWorkerPool) -> None:
    lose_replay(runtime)
    runtime.grant(0, Grant(turns=1, seconds=1, epsilon=0, tickets=("push to a dead replay",)))  # type: ignore[arg-type]
    events: list[Any] = []
    while len(events) < 2:
        events += runtime.poll(5.0)
    assert {type(event) for event in events} == {ActorLost, ReplayLost}
    assert isinstance(play(runtime), GrantReported)


def test_a_link_to_replay_that_is_cut_for_an_actor_costs_its_grant_only(runtime: RayWorkerPool) -> None:
    replay = runtime.replay.process._actor_id.hex()
    event = play(runtime, "push over a link that is cut")
    assert isinstance(event, ActorLost)
    assert "ActorUnavailableError" in event.reason
    assert isinstance(play(runtime), GrantReported)
    assert runtime.poll(0.0) == []
    assert runtime.replay.process._actor_id.hex() == replay


class ReplayCounts:
    """Stands in for replay: remembers how many batches were asked for and every error sent."""

    def __init__(self, run_spec: RunSpec, *, seed: int) -> None:
        self.asked: list[int] = []
        self.sent: list[tuple[list[int], list[float]]] = []

    def sample(self, n_batches: int, batch_size: int, spec: NetworkSpec) -> list[tuple[int, int]]:
        start = sum(self.asked)
        self.asked.append(n_batches)
        return [(number, spec.n_characters) for number in range(start, start + n_batches)]

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> None:
        self.sent.append((ids.tolist(), errors.tolist()))

    def tell(self) -> tuple[list[int], list[tuple[list[int], list[float]]]]:
        return self.asked, self.sent


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayWorkerPool]:
    monkeypatch.setattr(worker_pool, "ActorProcess", PlayingLight)
    monkeypatch.setattr(worker_pool, "ReplayService", ReplayCounts)
    run_spec = make_run_spec(tmp_path)
    made = RayWorkerPool(run_spec, allocate(run_spec.settings, ServiceTimes(turn=1e-4, update=1e-3), 2, 1), seed=3)
    yield made
    made.close()


def test_batches_are_fetched_ahead_but_never_beyond_those_wanted(counting: RayWorkerPool) -> None:
    drawn: list[Any] = []
    expected: list[tuple[list[int], list[float]]] = []
    for round_of_updates in (3, 1, 40):
        for left in range(round_of_updates, 0, -1):
            drawn.append(counting.replay.next_batch(left, counting.replay._network))
            ids, errors = np.array([len(drawn), 0]), np.array([0.5, len(drawn)], np.float32)
            expected.append((ids.tolist(), errors.tolist()))
            counting.replay.update_priorities(ids, errors)
        asked, _ = ray.get(counting.replay.process.tell.remote())
        assert sum(asked) == len(drawn)  # nothing was sampled that is not used at once
        assert max(asked) <= worker_pool.BATCHES_PER_REQUEST
    assert [number for number, _ in drawn] == list(range(44))
    _, sent = ray.get(counting.replay.process.tell.remote())
    assert len(sent) == 44 // worker_pool.PRIORITY_UPDATES_PER_MESSAGE
    arrived = [(i, e) for ids, errors in sent for i, e in zip(ids, errors, strict=True)]
    flat = [(i, e) for ids, errors in expected for i, e in zip(ids, errors, strict=True)]
    assert arrived == flat[: len(arrived)]


def test_what_was_fetched_ahead_for_a_smaller_network_is_not_learned_from(counting: RayWorkerPool) -> None:
    small = counting.replay._network
    grown = small.with_characters(small.n_characters + 2)
    drawn: Any = [counting.replay.next_batch(20, spec) for spec in (small, small, grown, grown)]
    assert [n_characters - small.n_characters for _, n_characters in drawn] == [0, 0, 2, 2]


def test_an_object_store_without_room_is_said(runtime: RayWorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(value: Any) -> None:
        raise ray.exceptions.ObjectStoreFullError("no room")

    monkeypatch.setattr(ray, "put", put)
    with pytest.raises(EngineError, match="--resume latest"):
        runtime.publish(runtime._weights)  # type: ignore[arg-type]


def test_a_factory_that_cannot_travel_is_refused_with_a_way_out(tmp_path: Path) -> None:
    lock = threading.Lock()
    run_spec = dataclasses.replace(make_run_spec(tmp_path), source=None, factory=lambda: lock)
    with pytest.raises(UsageError, match="actors=0") as raised:
        RayWorkerPool(run_spec, allocate(run_spec.settings, ServiceTimes(turn=1e-4, update=1e-3), 2, 1), seed=3)
    assert "(cannot pickle '_thread.lock' object)" in str(raised.value)
    assert len(str(raised.value)) < 250


def test_actors_beyond_the_free_processors_wait_and_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "ActorProcess", PlayingLight)
    run_spec = make_run_spec(tmp_path, batch_size=4, learning_starts=0)
    plan = allocate(run_spec.settings, ServiceTimes(turn=1e-4, update=1e-3), 2, 3)
    roomy = Placement(learner={}, replay={"num_cpus": 0}, actor={"num_cpus": 2})  # there is room for two of the three
    runtime = RayWorkerPool(run_spec, plan, seed=3, placement=roomy)
    try:
        runtime.publish(Learner(run_spec.network, run_spec.settings, ("@", ">")).publish())
        while len(runtime.ready_actors()) < 2:
            assert runtime.poll(5.0) == []
        first = min(runtime.ready_actors())
        runtime.grant(first, Grant(turns=1, seconds=1, epsilon=0, tickets=()))
        while not (events := runtime.poll(5.0)):
            pass
        assert isinstance(events[0], GrantReported)
        assert len(runtime.ready_actors()) == 2
        (waiting,) = frozenset(range(3)) - runtime.ready_actors()
        ray.kill(runtime._actors[first])
        while waiting not in runtime.ready_actors():
            assert runtime.poll(5.0) == []
    finally:
        runtime.close()


@ray.remote(num_cpus=4)
class Greedy:
    """Holds all processors of the tests' Ray."""

    def holds(self) -> bool:
        return True


def test_without_a_free_processor_the_wait_is_remarked_on_once_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "ActorProcess", PlayingLight)
    monkeypatch.setattr(placement, "REMARK_SECONDS", 0)
    run_spec = make_run_spec(tmp_path, batch_size=4, learning_starts=0)
    plan = allocate(run_spec.settings, ServiceTimes(turn=1e-4, update=1e-3), 2, 2)
    greedy: Any = Greedy.remote()  # type: ignore[attr-defined]
    assert ray.get(greedy.holds.remote())
    while ray.available_resources().get("CPU"):
        threading.Event().wait(0.1)  # Ray counts them some moments later
    patient, impatient = THIS_MACHINE, dataclasses.replace(THIS_MACHINE, wait_seconds=0)
    with contextlib.closing(RayWorkerPool(run_spec, plan, seed=3, placement=patient)) as runtime:
        events: list[WorkerEvent] = []
        while not events:
            events = runtime.poll(0.1)
        assert [type(event) for event in events] == [WorkerRemark]
        assert runtime.poll(0.0) == []
        ray.kill(greedy)
        while len(runtime.ready_actors()) < 2:
            assert runtime.poll(5.0) == []
    with (
        contextlib.closing(RayWorkerPool(run_spec, plan, seed=3, placement=impatient)) as runtime,
        pytest.raises(EngineError, match=r"no actor has started within 0 seconds.*\n.*--actors 0"),
    ):
        runtime.poll(0.0)


class BrokenAtTheStart(PlayingLight):
    """Makes its file of last words and fails then."""

    def __init__(self, run_spec: RunSpec, crash_report: Any, *, n_games: int, block_turns: int, seed: int) -> None:
        crash_report.open().close()
        raise FileNotFoundError("no folder to stand in")


def test_an_actor_that_fails_at_its_start_says_why_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "ActorProcess", BrokenAtTheStart)
    run_spec = make_run_spec(tmp_path)
    made = RayWorkerPool(run_spec, allocate(run_spec.settings, ServiceTimes(turn=1e-4, update=1e-3), 2, 1), seed=3)
    made.publish(Learner(run_spec.network, run_spec.settings, ("@", ">")).publish())
    assert os.stat(made._folder).st_mode & 0o777 == 0o700
    event = play(made)
    made.close()
    assert isinstance(event, ActorLost)
    assert event.reason == "FileNotFoundError: no folder to stand in, while its process started"
    assert not Path(made._folder).exists()
    with CrashReport(made._folder, 99).open():  # one that was killed may come to it only now
        assert not Path(made._folder).exists()


def test_an_actor_that_does_not_answer_is_mentioned_once(runtime: RayWorkerPool) -> None:
    runtime._clock = lambda: 0.0
    tickets: Any = ("wait",)
    runtime.grant(0, Grant(turns=1, seconds=1, epsilon=0, tickets=tickets))
    assert runtime.poll(0.0) == []
    runtime._clock = lambda: 46.0
    (remark,) = runtime.poll(0.0)
    assert isinstance(remark, WorkerRemark)
    assert remark.text.startswith("Actor 0 has not answered for 45 seconds. Its process may be stopped")
    assert runtime.poll(0.0) == []


def test_a_replay_that_does_not_answer_is_mentioned_and_holds_nobody_up(
    runtime: RayWorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "ANSWER_SECONDS", 1e-6)
    monkeypatch.setattr(worker_pool, "SILENCE_SECONDS", 0.0)
    assert runtime.replay.next_batch(1, runtime.replay._network) is None
    (remark,) = runtime.poll(0.0)
    assert isinstance(remark, WorkerRemark)
    assert remark.text.startswith("The replay process has not answered for 0 seconds.")
