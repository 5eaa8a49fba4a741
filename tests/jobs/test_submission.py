"""A planned job: which checkpoint it continues from, what is sent, and what the job note remembers."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import Any

import pytest

from retro_gamer.errors import UsageError
from retro_gamer.jobs.manifests import make_rayjob, make_slurm_script
from retro_gamer.jobs.submission import JobPlan, plan_job, send_job
from retro_gamer.run.directory import RunDirectory
from retro_gamer.training.planning.allocation import ClusterOptions
from tests.trained_runs import save
from tests.training.corridors import make_corridor_run


def plan(run: RunDirectory, resume: str) -> JobPlan:
    return plan_job(run, options=ClusterOptions(address="auto"), n_actors=2, resume=resume)


def checkpoints_in(plan: JobPlan) -> dict[str, Path]:
    return {file.name: file.path for file in plan.package.files if file.name.startswith("run/checkpoints/")}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run with checkpoints of episodes 100 and 200, and of its end after 250."""
    run = make_corridor_run(tmp_path, training_episodes=250)
    for name, episode in (("ep_0100", 100), ("ep_0200", 200), ("final", 250)):
        save(run.path, name, change=functools.partial(dict.update, episode=episode))
    return run


def test_a_damaged_latest_checkpoint_is_skipped_as_in_training(run: RunDirectory) -> None:
    damaged = run.checkpoints_dir / "final.pt"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    made = plan(run, "latest")
    assert checkpoints_in(made) == {"run/checkpoints/ep_0200.pt": run.checkpoints_dir / "ep_0200.pt"}
    assert made.resume is not None
    assert (made.resume.file.name, made.resume.episodes) == ("ep_0200", 200)
    for command in (made.entrypoint, make_rayjob(made), make_slurm_script(made)):
        assert "ep_0200" in command
        assert "final" not in command


@pytest.mark.parametrize(
    ("wrong", "option"),
    [({"minutes": 0.0}, "--minutes"), ({"minutes": float("nan")}, "--minutes"), ({"n_actors": 0}, "--actors 0")],
)
def test_options_that_the_job_would_refuse_are_refused_here(
    run: RunDirectory, wrong: dict[str, Any], option: str
) -> None:
    with pytest.raises(UsageError, match=option):
        plan_job(run, options=ClusterOptions(address="auto"), resume="latest", **wrong)


class Server:
    """A fake job server that accepts everything."""

    address = "http://h:1"

    def upload(self, name: str, data: bytes) -> str:
        return f"gcs://{name}"

    def submit(self, *given: Any) -> None:
        pass


def option(command: str, name: str) -> str:
    words = shlex.split(command)
    return words[words.index(name) + 1]


def resumed_by(script: str) -> str:
    (line,) = [line for line in script.splitlines() if "retro-gamer train" in line and "--resume" in line]
    return option(line, "--resume")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The end of another run, after 200 episodes."""
    other = make_corridor_run(tmp_path, run_name="other", training_episodes=200)
    save(other.path, "final", change=lambda state: state.update(episode=200))
    return other.checkpoints_dir / "final.pt"


def test_a_checkpoint_from_elsewhere_is_sent_as_that_of_its_episode(run: RunDirectory, elsewhere: Path) -> None:
    made = plan(run, str(elsewhere))
    assert checkpoints_in(made) == {"run/checkpoints/ep_0200.pt": elsewhere}
    assert option(made.entrypoint, "--resume") == "ep_0200"
    note = send_job(Server(), made, run)  # type: ignore[arg-type]
    assert (note.resumed_from, note.episodes) == (str(elsewhere), 200)


def test_where_the_nodes_share_the_files_it_is_named_by_its_absolute_path(
    run: RunDirectory, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(elsewhere.parent)
    assert resumed_by(make_slurm_script(plan(run, "final.pt"))) == str(elsewhere)
    assert resumed_by(make_slurm_script(plan(run, "ep_0200"))) == str(run.checkpoints_dir / "ep_0200.pt")


@pytest.mark.parametrize(
    ("text", "name", "episodes"),
    [("latest", "final", 250), ("ep_0100", "ep_0100", 100), ("../other/../run/checkpoints/final", "final", 250)],
)
def test_its_own_checkpoint_is_remembered_by_its_name(
    run: RunDirectory, elsewhere: Path, text: str, name: str, episodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.path)
    made = plan(run, text)
    assert checkpoints_in(made) == {f"run/checkpoints/ep_0{episodes}.pt": made.resume and made.resume.file.path}
    assert option(made.entrypoint, "--resume") == f"ep_0{episodes}"
    note = send_job(Server(), made, run)  # type: ignore[arg-type]
    assert (note.resumed_from, note.episodes) == (name, episodes)
