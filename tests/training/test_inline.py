from __future__ import annotations

from pathlib import Path

import numpy as np

from retro_gamer.acting.actor import Grant
from retro_gamer.backends.inline import ACTOR, InlineWorkerPool
from retro_gamer.learning.learner import Learner
from retro_gamer.training.loop.backend import GrantReported
from tests.training.test_work import make_run_spec


def make_runtime(folder: Path, **settings: object) -> tuple[InlineWorkerPool, Learner]:
    work = make_run_spec(folder, **settings)
    runtime = InlineWorkerPool(work, block_turns=16, seed=2)
    learner = Learner(work.spec, work.settings, work.metadata.character_set or ())
    runtime.publish(learner.publish())
    return runtime, learner


def grant(*tickets: int, turns: int = 64) -> Grant:
    return Grant(turns=turns, seconds=float("inf"), epsilon=1.0, tickets=tickets)


def test_a_grant_is_played_when_it_is_asked_for_and_answered_once(tmp_path: Path) -> None:
    runtime, _ = make_runtime(tmp_path)
    assert runtime.poll(0.0) == []
    runtime.grant(ACTOR, grant(1, 2, 3, 4, 5))
    (event,) = runtime.poll(0.0)
    assert isinstance(event, GrantReported)
    assert event.actor == ACTOR
    assert event.report.turns == event.report.replay_turns == 64
    assert runtime.poll(0.0) == []


def test_what_was_played_can_be_sampled_at_once(tmp_path: Path) -> None:
    runtime, learner = make_runtime(tmp_path, prioritize_experiences=True, batch_size=16)
    runtime.grant(ACTOR, grant(1, 2, 3))
    runtime.poll(0.0)
    batch = runtime.next_batch(1, learner.spec)
    assert len(batch) == 16
    result = learner.update(batch)
    runtime.update_priorities(batch.ids, result.errors)
    ids = np.unique(batch.ids)
    runtime.update_priorities(ids, np.where(ids == ids[0], 1e6, 0).astype(np.float32))
    drawn = runtime.next_batch(1, learner.spec).ids
    assert (drawn == ids[0]).mean() > 0.5
    runtime.stop()


def test_later_grants_are_played_with_the_weights_published_last(tmp_path: Path) -> None:
    runtime, learner = make_runtime(tmp_path)
    runtime.grant(ACTOR, grant(1, 2, 3))
    runtime.poll(0.0)
    learner.update(runtime.next_batch(1, learner.spec))
    runtime.publish(learner.publish())
    runtime.grant(ACTOR, grant(turns=1))
    (event,) = runtime.poll(0.0)
    assert isinstance(event, GrantReported)
    assert event.report.version == 1
