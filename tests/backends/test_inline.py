from __future__ import annotations

from pathlib import Path

import numpy as np

from retro_gamer.acting.actor import Grant
from retro_gamer.backends.inline import ACTOR, InlineWorkerPool
from retro_gamer.learning.learner import Learner
from retro_gamer.training.loop.backend import GrantReported
from tests.training.planning.test_run_spec import make_run_spec


def make_runtime(folder: Path, **settings: object) -> tuple[InlineWorkerPool, Learner]:
    run_spec = make_run_spec(folder, **settings)
    workers = InlineWorkerPool(run_spec, block_turns=16, seed=2)
    learner = Learner(run_spec.network, run_spec.settings, run_spec.metadata.character_set or ())
    workers.publish(learner.publish())
    return workers, learner


def grant(*tickets: int, turns: int = 64) -> Grant:
    return Grant(turns=turns, seconds=float("inf"), epsilon=1.0, tickets=tickets)


def test_a_grant_is_played_when_it_is_asked_for_and_answered_once(tmp_path: Path) -> None:
    workers, _ = make_runtime(tmp_path)
    assert workers.poll(0.0) == []
    workers.grant(ACTOR, grant(1, 2, 3, 4, 5))
    (event,) = workers.poll(0.0)
    assert isinstance(event, GrantReported)
    assert event.actor == ACTOR
    assert event.report.turns == event.report.replay_turns == 64
    assert workers.poll(0.0) == []


def test_what_was_played_can_be_sampled_at_once(tmp_path: Path) -> None:
    workers, learner = make_runtime(tmp_path, prioritize_experiences=True, batch_size=16)
    workers.grant(ACTOR, grant(1, 2, 3))
    workers.poll(0.0)
    batch = workers.replay.next_batch(1, learner.spec)
    assert len(batch) == 16
    result = learner.update(batch)
    workers.replay.update_priorities(batch.ids, result.errors)
    ids = np.unique(batch.ids)
    workers.replay.update_priorities(ids, np.where(ids == ids[0], 1e6, 0).astype(np.float32))
    drawn = workers.replay.next_batch(1, learner.spec).ids
    assert (drawn == ids[0]).mean() > 0.5


def test_later_grants_are_played_with_the_weights_published_last(tmp_path: Path) -> None:
    workers, learner = make_runtime(tmp_path)
    workers.grant(ACTOR, grant(1, 2, 3))
    workers.poll(0.0)
    learner.update(workers.replay.next_batch(1, learner.spec))
    workers.publish(learner.publish())
    workers.grant(ACTOR, grant(turns=1))
    (event,) = workers.poll(0.0)
    assert isinstance(event, GrantReported)
    assert event.report.version == 1
