from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch

from retro_gamer.acting.actor import Grant
from retro_gamer.backends.ray import actor_process
from retro_gamer.backends.ray.actor_process import ActorProcess, CrashReport
from retro_gamer.backends.replay_service import ReplayService
from retro_gamer.learning.learner import Learner
from retro_gamer.replay.transitions import Block
from tests.training.planning.test_run_spec import make_run_spec

pytestmark = pytest.mark.usefixtures("local_ray")


class ReplayNearby:
    """A replay in this process, behind the calls that a Ray actor's handle has."""

    def __init__(self, replay: ReplayService) -> None:
        self.replay = replay
        self.blocks: list[Block] = []
        self.push = self

    def remote(self, block: Block) -> Any:
        self.blocks.append(block)
        return ray.put(self.replay.push(block))


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the output and the life of this process alone, which is that of the tests."""
    monkeypatch.setattr(actor_process, "discard_output", lambda *descriptors: None)
    monkeypatch.setattr(
        actor_process, "Watchdog", lambda seconds, crash_report: contextlib.nullcontext(crash_report.close())
    )


def test_everything_played_is_in_replay_when_a_grant_is_over(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    run_spec = make_run_spec(tmp_path, prioritize_experiences=True)
    replay = ReplayNearby(ReplayService(run_spec, seed=1))
    words = CrashReport(str(tmp_path), 1)
    playing = ActorProcess(run_spec, words, n_games=2, block_turns=8, seed=1)
    weights = Learner(run_spec.network, run_spec.settings, ("@", ">")).publish()
    total = 0
    for _ in range(3):
        report = playing.play(Grant(turns=50, seconds=60, epsilon=1.0, tickets=tuple(range(20))), weights, replay)
        total += report.turns
        assert report.replay_turns == total == sum(block.turns for block in replay.blocks)
    assert len(replay.blocks) > 6
    assert words.take() is None
    assert playing.play(Grant(turns=0, seconds=60, epsilon=1.0, tickets=()), weights, replay).replay_turns == 0
    torch.set_num_threads(threads)


def test_replay_samples_what_an_actor_pushed(tmp_path: Path) -> None:
    run_spec = make_run_spec(tmp_path, prioritize_experiences=True)
    replay = ReplayService(run_spec, seed=1)
    nearby = ReplayNearby(replay)
    playing = run_spec.make_actor(n_games=1, block_turns=64, seed=1)
    weights = Learner(run_spec.network, run_spec.settings, ("@", ">")).publish()
    playing.play(
        Grant(turns=64, seconds=60, epsilon=1.0, tickets=(1, 2, 3)),
        weights,
        lambda block: ray.get(nearby.remote(block)),
    )
    batches = replay.sample(3, 5, run_spec.network)
    assert [len(batch) for batch in batches] == [5, 5, 5]
    ids = np.array([0, 10**6], np.int64)
    assert replay.update_priorities(ids, np.ones(2, np.float32)) == 1
