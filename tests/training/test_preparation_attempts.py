"""Where each learner starts: the first one, and each that replaces a lost one."""

from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import Checkpoint, Started
from retro_gamer.training.preparation import Attempt, Attempts, prepare
from tests.trained_runs import save
from tests.training.corridors import make_corridor_run


def make_attempts(run: RunDirectory, resume: str | None) -> Attempts:
    prepared, point = prepare(run, load_config(run.path), resume=resume)
    return Attempts(prepared, point, n_actors=0, minutes=None)


def write(attempt: Attempt, run: RunDirectory, episode: int) -> None:
    """Let the learner of the attempt write a checkpoint."""
    made = make_checkpoint(run, f"ep_{episode:04d}", episode)
    data = made.read_bytes()
    made.unlink()
    attempt.writer.handle(Checkpoint(made.stem, data))


def make_checkpoint(run: RunDirectory, name: str, episode: int) -> Path:
    save(run.path, name, change=lambda state: state.update(episode=episode))
    return run.checkpoints_dir / f"{name}.pt"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_corridor_run(tmp_path, training_episodes=400)


def test_after_a_loss_the_next_attempt_resumes_from_the_last_checkpoint_written(run: RunDirectory) -> None:
    attempts = make_attempts(run, None)
    attempt = attempts.next()
    attempt.writer.handle(Started("text"))
    attempt = attempts.next()
    assert (attempt.task.start.episodes, attempt.task.state) == (0, None)
    attempt.writer.handle(Started("text"))
    write(attempt, run, 100)
    for _ in range(2):  # the second learner writes none
        attempt = attempts.next()
        assert attempt.task.start.episodes == 100
        attempt.writer.handle(Started("text"))
    write(attempt, run, 200)
    assert attempts.next().task.start.episodes == 200


def test_after_a_loss_before_any_checkpoint_the_next_attempt_resumes_from_the_one_asked_for(
    run: RunDirectory,
) -> None:
    for episode in (100, 200):
        make_checkpoint(run, f"ep_{episode:04d}", episode)
    attempts = make_attempts(run, "ep_0100")
    attempts.next()
    attempt = attempts.next()  # lost before it began, so that the later one was not moved aside
    assert attempt.task.start.episodes == 100
    attempt.writer.handle(Started("text"))
    assert [file.name for file in run.checkpoints()] == ["ep_0100"]
    write(attempt, run, 150)
    assert attempts.next().task.start.episodes == 150


@pytest.mark.parametrize("own", [(), (100,)])
def test_after_a_loss_a_checkpoint_of_another_run_is_resumed_again(
    run: RunDirectory, tmp_path: Path, own: tuple[int, ...]
) -> None:
    other = make_checkpoint(make_corridor_run(tmp_path, run_name="other"), "final", 200)
    for episode in own:
        make_checkpoint(run, f"ep_{episode:04d}", episode)
    attempts = make_attempts(run, str(other))
    attempts.next().writer.handle(Started("text"))
    assert attempts.next().task.start.episodes == 200


def test_the_final_checkpoint_is_resumed_again_under_the_name_of_its_episode(run: RunDirectory) -> None:
    make_checkpoint(run, "final", 250)
    attempts = make_attempts(run, "final")
    attempts.next().writer.handle(Started("text"))
    attempt = attempts.next()
    attempt.writer.handle(Started("text"))
    assert attempt.task.start.episodes == 250
    assert [file.name for file in run.checkpoints()] == ["ep_0250"]
