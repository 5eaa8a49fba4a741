"""A job as it is planned: which checkpoint it goes on from, and what of it is sent, told and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.runs.directory import RunDirectory
from retro_gamer.training.cluster.manifests import make_rayjob, make_slurm_script
from retro_gamer.training.cluster.options import ClusterOptions
from retro_gamer.training.cluster.submission import JobPlan, plan_job
from tests.trained_runs import save

from ..corridors import make_corridor_run


def plan(run: RunDirectory, resume: str) -> JobPlan:
    return plan_job(run, options=ClusterOptions(address="auto"), n_actors=2, resume=resume)


def checkpoints_in(plan: JobPlan) -> dict[str, Path]:
    return {file.name: file.path for file in plan.package.files if file.name.startswith("run/checkpoints/")}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run with checkpoints of episodes 100 and 200, and of its end after 250."""
    run = make_corridor_run(tmp_path, training_episodes=250)
    for name, episode in (("ep_0100", 100), ("ep_0200", 200), ("final", 250)):
        save(run.path, name, change=lambda state, episode=episode: state.update(episode=episode))
    return run


def test_of_the_latest_a_damaged_one_is_passed_over_as_it_is_in_training(run: RunDirectory) -> None:
    damaged = run.checkpoints_dir / "final.pt"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    made = plan(run, "latest")
    assert checkpoints_in(made) == {"run/checkpoints/ep_0200.pt": run.checkpoints_dir / "ep_0200.pt"}
    assert made.resume is not None
    assert (made.resume.file.name, made.resume.episodes) == ("ep_0200", 200)
    for command in (made.entrypoint, make_rayjob(made), make_slurm_script(made)):
        assert "ep_0200.pt" in command
        assert "final.pt" not in command
