"""Where each learner begins: the first one, and those after one was lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.run.directory import RunDirectory
from retro_gamer.training.preparation import Attempt, Attempts
from tests.trained_runs import save
from tests.training.corridors import make_corridor_run


def make_parts(run: RunDirectory, resume: str | None) -> Attempts:
    return Attempts(run, resume=resume, n_actors=0, minutes=None)


def write(part: Attempt, run: RunDirectory, episode: int) -> None:
    """Let the learner of the part write a checkpoint."""
    made = make_checkpoint(run, f"ep_{episode:04d}", episode)
    data = made.read_bytes()
    made.unlink()
    part.writer.write_checkpoint(made.stem, data)


def make_checkpoint(run: RunDirectory, name: str, episode: int) -> Path:
    save(run.path, name, change=lambda state: state.update(episode=episode))
    return run.checkpoints_dir / f"{name}.pt"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_corridor_run(tmp_path, training_episodes=400)


def test_after_a_loss_it_goes_on_from_the_last_checkpoint_that_was_written(run: RunDirectory) -> None:
    parts = make_parts(run, None)
    part = parts.first()
    part.writer.begin("text")
    part = parts.after_loss()
    assert (part.task.start.episodes, part.task.state) == (0, None)
    part.writer.begin("text")
    write(part, run, 100)
    for _ in range(2):  # the second learner writes none
        part = parts.after_loss()
        assert part.task.start.episodes == 100
        part.writer.begin("text")
    write(part, run, 200)
    assert parts.after_loss().task.start.episodes == 200


def test_a_learner_lost_before_it_wrote_any_is_followed_from_the_checkpoint_that_was_asked_for(
    run: RunDirectory,
) -> None:
    for episode in (100, 200):
        make_checkpoint(run, f"ep_{episode:04d}", episode)
    parts = make_parts(run, "ep_0100")
    parts.first()
    part = parts.after_loss()  # lost before it began, so that the later one was not moved aside
    assert part.task.start.episodes == 100
    part.writer.begin("text")
    assert [file.name for file in run.checkpoints()] == ["ep_0100"]
    write(part, run, 150)
    assert parts.after_loss().task.start.episodes == 150


@pytest.mark.parametrize("own", [(), (100,)])
def test_so_it_is_with_one_from_elsewhere(run: RunDirectory, tmp_path: Path, own: tuple[int, ...]) -> None:
    other = make_checkpoint(make_corridor_run(tmp_path, run_name="other"), "final", 200)
    for episode in own:
        make_checkpoint(run, f"ep_{episode:04d}", episode)
    parts = make_parts(run, str(other))
    parts.first().writer.begin("text")
    assert parts.after_loss().task.start.episodes == 200


def test_the_final_one_is_gone_on_from_again_after_it_has_got_the_name_of_its_episode(run: RunDirectory) -> None:
    make_checkpoint(run, "final", 250)
    parts = make_parts(run, "final")
    parts.first().writer.begin("text")
    part = parts.after_loss()
    part.writer.begin("text")
    assert part.task.start.episodes == 250
    assert [file.name for file in run.checkpoints()] == ["ep_0250"]
