"""Run directories that are deleted, replaced or taken by another trainer while one trains in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from retro_gamer.errors import StorageError
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import (
    CharacterSet,
    Checkpoint,
    Remark,
    SnapshotBegun,
    SnapshotDiscarded,
    SnapshotPiece,
    Started,
)
from retro_gamer.run.files import RunLock
from retro_gamer.run.log import EpisodeLine, TrainingLog
from retro_gamer.run.writer import RunWriter
from tests.test_signals import ENDLESS, Training
from tests.trained_runs import make_run

LINE = EpisodeLine(episode=1, total_reward=2.0, steps=3, epsilon=0.5, avg_loss=0.1)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[RunDirectory]:
    """A run that this process has locked."""
    directory = RunDirectory.open(make_run(tmp_path))
    with RunLock(directory.path) as lock:
        directory.lock = lock
        yield directory
        directory.path.mkdir(exist_ok=True)


def begin(directory: RunDirectory) -> RunWriter:
    writer = RunWriter(directory)
    writer.handle(Started("A network."))
    writer.handle(CharacterSet(("@", "#", "$")))
    writer.handle(LINE)
    writer.handle(SnapshotBegun("ep_0001-00000000.npz"))
    writer.handle(SnapshotPiece(b"piece"))
    return writer


def delete(directory: RunDirectory) -> None:
    shutil.rmtree(directory.path)


def replace(directory: RunDirectory) -> None:
    directory.path.rename(directory.path.with_name("moved"))
    directory.path.mkdir()
    (directory.path / "config.toml").write_text("of another run")


def take_over(directory: RunDirectory) -> None:
    (directory.path / ".lock").unlink()
    os.close(os.open(directory.path / ".lock", os.O_CREAT | os.O_WRONLY))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (delete, "was deleted during training"),
        (replace, "was replaced during training"),
        (take_over, "was locked by another trainer, after its file .lock was deleted, during training"),
    ],
)
def test_what_is_left_of_a_run_is_whole_in_a_new_directory(directory: RunDirectory, change: object, what: str) -> None:
    writer = begin(directory)
    config = directory.config_path.read_bytes()
    assert callable(change)
    change(directory)
    with pytest.raises(StorageError, match=what) as raised:
        writer.handle(Checkpoint("ep_0001", b"weights"))
    new = RunDirectory(directory.path.with_name("run-rescued-1"))
    assert f"retro-gamer train {new.path} --resume latest" in str(raised.value)
    writer.handle(Remark("The last one."))
    writer.handle(Checkpoint("ep_0002", b"later weights"))
    assert new.config_path.read_bytes() == config
    assert b'"$"' in config
    assert TrainingLog(new.log_path).read_episodes() == [LINE]
    assert "# The last one." in new.log_path.read_text()
    assert [file.name for file in new.checkpoints()] == ["ep_0001", "ep_0002"]
    assert not directory.has_checkpoints
    if change is replace:
        assert [path.name for path in directory.path.iterdir()] == ["config.toml"]


def test_a_lock_file_that_was_only_deleted_is_made_again(directory: RunDirectory) -> None:
    writer = begin(directory)
    writer.handle(SnapshotDiscarded())
    (directory.path / ".lock").unlink()
    writer.handle(Checkpoint("ep_0001", b"weights"))
    assert directory.has_checkpoints
    with pytest.raises(Exception, match="is being trained by process"), RunLock(directory.path):
        pass


def test_without_a_place_beside_it_the_temporary_folder_takes_what_is_left(
    directory: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "temporary"
    other.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(other))
    made = RunDirectory.make_beside(tmp_path / "missing" / "run")
    assert made.path.parent == other


def test_a_training_whose_directory_is_deleted_stops_and_can_be_resumed(tmp_path: Path) -> None:
    training = Training(make_run(tmp_path, **ENDLESS), "--actors", "0")
    training.read_until("episode ")
    training.run.path.rename(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    assert training.end() == 1
    assert "was deleted during training, so training stopped." in training.shown
    rescued = RunDirectory(tmp_path / "run-rescued-1")
    episodes = len(TrainingLog(rescued.log_path).read_episodes())
    assert rescued.checkpoints()[-1].episode == episodes
    resumed = Training(rescued.path, "--actors", "0", "--resume", "latest", "--minutes", "0.01")
    assert resumed.end() == 0, resumed.shown
    assert f"at episode {episodes}" in resumed.shown
