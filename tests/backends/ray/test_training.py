from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import ray

from retro_gamer.backends.ray import backends
from retro_gamer.backends.ray.worker_pool import RayWorkerPool
from retro_gamer.learning.checkpoint import load_checkpoint
from retro_gamer.learning.inference import Weights
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import Progress
from retro_gamer.training.loop import training_loop
from tests.backends.ray.games import make_killing_game
from tests.training.corridors import count_greedy_turns, episodes_of, make_corridor_run, train_here
from tests.training.stand_ins import RecordingSink

pytestmark = pytest.mark.usefixtures("local_ray")


def read_checkpoint(run: RunDirectory, name: str) -> dict[str, Any]:
    return load_checkpoint(run.resolve_checkpoint(name).path.read_bytes(), name)


def test_three_actors_play_exactly_the_episodes_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_versions = Counter[int]()
    put = ray.put

    def counting_put(value: Any, **given: Any) -> Any:
        if isinstance(value, Weights):
            put_versions[value.version] += 1
        return put(value, **given)

    monkeypatch.setattr(ray, "put", counting_put)
    run = make_corridor_run(tmp_path, training_episodes=120, learning_starts=200)
    outcome = train_here(run, n_actors=3)
    assert (outcome.complete, outcome.episodes, outcome.checkpoint) == (True, 120, "final")
    lines = episodes_of(run)
    assert len(lines) == 120
    # Replay counts what the actors played: all turns of the episodes in the log.
    assert sum(line.steps for line in lines) == outcome.turns
    assert outcome.updates == (outcome.turns - 200) // 4
    assert [file.name for file in run.checkpoints()] == ["ep_0100", "final"]
    assert read_checkpoint(run, "final")["total_steps"] == outcome.updates
    # Weights go into the object store once a version, however many actors are granted work with them.
    assert set(put_versions.values()) == {1}
    assert "3 actors playing 2 games each" in run.log_path.read_text()
    assert ray.is_initialized()


def test_an_actor_killed_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    flag = tmp_path / "killed"
    game = make_killing_game(flag, after=12)
    run = make_corridor_run(
        tmp_path, game=game, training_episodes=100, prioritize_experiences=True, learning_starts=100
    )
    outcome = train_here(run, n_actors=1)
    assert outcome.complete
    assert len(episodes_of(run)) == 100
    assert run.log_path.read_text().count("# Actor 0 was lost") == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(flag.read_text()), 0)
    assert count_greedy_turns(run) == 6


class ReplayKiller(RecordingSink):
    """Kills the replay process once some episodes are over."""

    def __init__(self, pools: list[RayWorkerPool]) -> None:
        super().__init__()
        self.pools = pools

    def on_progress(self, progress: Progress) -> None:
        if progress.episodes >= 20 and self.pools:
            replay = self.pools.pop().replay.process
            os.kill(ray.get(replay.__ray_call__.remote(lambda self: os.getpid())), signal.SIGKILL)


def remember_pools(monkeypatch: pytest.MonkeyPatch) -> list[RayWorkerPool]:
    pools: list[RayWorkerPool] = []

    class Remembered(RayWorkerPool):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            pools.append(self)

    monkeypatch.setattr(backends, "RayWorkerPool", Remembered)
    return pools


class Disturber(RecordingSink):
    """Kills every actor at once, and some episodes later asks the run to stop, as Ctrl-C does."""

    def __init__(self, pools: list[RayWorkerPool]) -> None:
        super().__init__()
        self.pools = pools
        self.has_stopped = False

    def on_progress(self, progress: Progress) -> None:
        if progress.episodes >= 20 and self.pools:
            for actor in self.pools.pop()._actors:
                ray.kill(actor)
        if progress.episodes >= 60 and not self.has_stopped:
            self.has_stopped = True
            signal.raise_signal(signal.SIGINT)


def test_all_actors_killed_then_stopped_then_resumed_counts_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "REPORT_SECONDS", 0.0)
    run = make_corridor_run(tmp_path, training_episodes=130, prioritize_experiences=True)
    stopped = train_here(run, n_actors=2, display=Disturber(remember_pools(monkeypatch)))
    assert stopped.signal_number == signal.SIGINT
    assert run.log_path.read_text().count("was lost") >= 2
    at_stop = read_checkpoint(run, "latest")
    assert at_stop["episode"] == stopped.episodes == len(episodes_of(run)) >= 60
    resumed = train_here(run, n_actors=2, resume="latest")
    assert resumed.complete
    assert len(episodes_of(run)) == 130
    assert "Replay memory restored (" in run.log_path.read_text()
    # It neither forgot nor caught up: over both trainings there is one update for every four turns.
    assert resumed.updates == (resumed.turns - 50) // 4
    assert at_stop["total_steps"] == stopped.updates
    lines = episodes_of(run)
    assert [line.epsilon for line in lines] == pytest.approx([max(0.05, 0.95**i) for i in range(130)], abs=1e-4)


def test_a_replay_that_is_killed_is_told_and_filled_again_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = remember_pools(monkeypatch)
    monkeypatch.setattr(training_loop, "REPORT_SECONDS", 0.0)
    run = make_corridor_run(tmp_path, training_episodes=150, prioritize_experiences=True)
    outcome = train_here(run, n_actors=1, display=ReplayKiller(pools))
    assert outcome.complete
    assert len(episodes_of(run)) == 150
    assert run.log_path.read_text().count("The replay process was lost") == 1
    # The memory was filled once more as far as before the first update.
    assert outcome.updates <= (outcome.turns - 2 * 50) // 4
    assert read_checkpoint(run, "final")["total_steps"] == outcome.updates
    assert count_greedy_turns(run) == 6
