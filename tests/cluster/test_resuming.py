"""A job that goes on from a checkpoint of another run brings that home, and nothing of its own run is lost to it."""

from __future__ import annotations

from pathlib import Path

from retro_gamer.run.log import TrainingLog
from tests.cluster.nodes import Cluster
from tests.trained_runs import save
from tests.training.corridors import make_corridor_run


def test_a_job_continues_from_the_end_of_another_run(cluster: Cluster, tmp_path: Path) -> None:
    cluster.wait_for_nodes(3)
    other = make_corridor_run(tmp_path, run_name="other", training_episodes=100)
    run = make_corridor_run(tmp_path, training_episodes=120)
    save(other.path, "final")
    save(run.path, "ep_0100", "final")
    own, end = ((run.checkpoints_dir / name).read_bytes() for name in ("ep_0100.pt", "final.pt"))
    foreign = other.checkpoints_dir / "final.pt"
    options = ("--address", cluster.dashboard, "--actors", "1", "--resume", str(foreign))
    done = cluster.run("submit", str(run.path), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [file.name for file in run.checkpoints()] == ["ep_0100", "final"]
    assert (run.checkpoints_dir / "ep_0100.pt").read_bytes() == foreign.read_bytes() != own
    aside = {path.name: path.read_bytes() for path in (run.checkpoints_dir / "abandoned-1").iterdir()}
    assert aside == {"ep_0100.pt": own, "final.pt": end}
    assert [line.episode for line in TrainingLog(run.log_path).read_episodes()] == list(range(101, 121))
