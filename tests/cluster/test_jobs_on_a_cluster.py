"""Whole runs on a real cluster: submitted over HTTP with a token, their nodes killed under them, brought home."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.status import is_run_file
from tests.cluster.nodes import Cluster, wait_until
from tests.training.corridors import count_greedy_turns, episodes_of, make_corridor_run, make_slow_game


def has_episodes(run: RunDirectory, count: int) -> Callable[[], bool]:
    return lambda: run.log_path.exists() and run.log_path.read_text().count("\n[EP ") >= count


def output_of(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=240)
    return output


def test_a_run_outlives_its_submitter_its_actors_node_and_its_learners_node(cluster: Cluster, tmp_path: Path) -> None:
    hurry = tmp_path / "hurry"
    game = make_slow_game(hurry)
    run = make_corridor_run(tmp_path, game=game, training_episodes=330, max_turns_per_episode=30)
    submitter = cluster.start("submit", str(run.path), "--address", cluster.dashboard, "--actors", "2")
    try:
        wait_until("episodes at home", has_episodes(run, 5))
    finally:
        os.kill(submitter.pid, signal.SIGKILL)
        said = output_of(submitter)
    assert "Allocation" in said
    assert "1 CPU for the learner, 1 CPU for replay" in said
    attached = cluster.start("attach", str(run.path))
    try:
        of_actors = cluster.node_of("ActorProcess")
        assert of_actors is not None
        assert of_actors != cluster.node_of("LearnerProcess") == cluster.node_of("ReplayService")
        cluster.kill_node(of_actors)
        cluster.start_worker("three", n_cpus=2)
        cluster.wait_for_nodes(3)
        wait_until("a checkpoint at home", lambda: (run.checkpoints_dir / "ep_0100.pt").exists())
        of_learner = cluster.node_of("LearnerProcess")
        assert of_learner is not None
        cluster.kill_node(of_learner)
        hurry.touch()
        cluster.start_worker("four", n_cpus=2)
        cluster.wait_for_nodes(3)
        said = output_of(attached)
    finally:
        attached.kill()
    assert attached.returncode == 0, said
    assert "Trained 330 of 330 episodes" in said
    assert len(episodes_of(run)) == 330
    text = run.log_path.read_text() + (run.path / "training.log.1").read_text()
    assert "was lost" in text
    assert "The learner was lost" in run.log_path.read_text()
    assert "restart 1 of 3" in run.log_path.read_text()
    assert [file.name for file in run.checkpoints()] == ["ep_0100", "ep_0200", "ep_0300", "final"]
    assert count_greedy_turns(run) == 6
    strange = [
        path.relative_to(run.path).as_posix()
        for path in run.path.rglob("*")
        if path.is_file() and not is_run_file(path.relative_to(run.path).as_posix())
    ]
    assert sorted(strange) == [".job.json", ".lock"]
    assert cluster.token_file.read_text() not in said + (run.path / ".job.json").read_text()
