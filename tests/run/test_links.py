"""Links in a run directory: nothing that a run writes, truncates or deletes lies outside of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retro_gamer.cli import run
from retro_gamer.errors import StorageError
from retro_gamer.jobs.submission import JobNote
from retro_gamer.run.config import update_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.files import RunLock, check_links, read_file, write_atomic
from retro_gamer.run.log import TrainingLog
from retro_gamer.run.snapshots import SnapshotFolder, snapshot_name
from retro_gamer.run.status import FileIndex
from tests.training.corridors import episodes_of, make_corridor_run, train_here

FILES = (".lock", ".job.json", "status.json", "training.log", "training.log.1")
FOLDERS = ("checkpoints", "replay", "checkpoints/abandoned-1")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with what training would write into, truncate or delete."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("victim", "ep_0001.pt", "ep_0002.pt", "ep_0003.pt", "final.pt", ".tmp-1", snapshot_name(1)):
        (folder / name).write_text(f"precious {name}")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def replace_by_link(path: Path, target: Path) -> None:
    if path.is_dir():
        path.rename(path.with_name(f"{path.name}-before"))
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
@pytest.mark.parametrize("command", ["train", "resume", "create --force", "attach"])
def test_no_command_follows_a_link_out_of_the_run(
    tmp_path: Path, elsewhere: Path, name: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = make_corridor_run(tmp_path, training_episodes=3)
    if command != "train":
        train_here(directory)
        note = JobNote(
            address="http://127.0.0.1:1", submission_id="x", storage=None, resumed_from=None, episodes=0
        )  # fmt: skip
        note.save(directory.path)
    replace_by_link(directory.path / name, elsewhere / "victim" if name in FILES else elsewhere)
    before = content(elsewhere)
    arguments = {
        "train": ["train", str(directory.path), "--actors", "0"],
        "resume": ["train", str(directory.path), "--actors", "0", "--resume", "latest"],
        "create --force": [
            "create", "--force", "--output", str(directory.path), "--game", str(tmp_path / "project" / "game.py"),
        ],
        "attach": ["attach", str(directory.path)],
    }[command]  # fmt: skip
    status = run(arguments)
    captured = capsys.readouterr()
    assert status in (1, 2)
    assert "bug" not in captured.err
    assert "leads out of the run" in captured.err or (command, name) == ("attach", ".job.json")
    assert content(elsewhere) == before


def test_each_writer_refuses_a_folder_that_has_become_a_link(tmp_path: Path, elsewhere: Path) -> None:
    directory = make_corridor_run(tmp_path, training_episodes=3)
    for name in ("checkpoints", "replay"):
        replace_by_link(directory.path / name, elsewhere)
    before = content(elsewhere)
    snapshots = SnapshotFolder(directory.path)
    for call in (
        lambda: directory.write_checkpoint("ep_0004", b"x"),
        directory.prune_checkpoints,
        directory.delete_temporary_files,
        lambda: directory.abandon_after(0),
        lambda: snapshots.begin(snapshot_name(2)),
        snapshots.prune,
    ):
        with pytest.raises(StorageError, match="leads out of the run"):
            call()
    assert content(elsewhere) == before


def test_a_log_that_becomes_a_link_is_not_written_through(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "training.log").symlink_to(elsewhere / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        TrainingLog(tmp_path / "training.log").write_remark("text")
    assert (elsewhere / "victim").read_text() == "precious victim"


def test_a_link_is_replaced_by_an_atomic_write_and_never_followed(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "status.json").symlink_to(elsewhere / "victim")
    write_atomic(tmp_path / "status.json", b"{}")
    assert not (tmp_path / "status.json").is_symlink()
    assert (elsewhere / "victim").read_text() == "precious victim"


def test_files_outside_are_not_copied_to_a_storage(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").symlink_to(elsewhere / "victim")
    (tmp_path / "run" / "training.log").write_text("log")
    assert list(FileIndex(tmp_path / "run").scan()) == ["training.log"]


def test_a_run_reached_through_a_link_and_links_within_it_are_fine(tmp_path: Path) -> None:
    directory = make_corridor_run(tmp_path, training_episodes=3)
    (tmp_path / "shortcut").symlink_to(directory.path)
    (directory.path / "on another disk").mkdir()
    (directory.path / "replay").symlink_to(directory.path / "on another disk")
    (directory.path / "notes").symlink_to(tmp_path)
    assert train_here(RunDirectory(tmp_path / "shortcut")).complete
    assert len(episodes_of(directory)) == 3
    assert (directory.path / "replay").is_symlink()


def test_a_lock_that_is_no_file_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(OSError, match="not a regular file"), RunLock(tmp_path):
        pass


def test_what_is_read_is_a_file_of_limited_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(11))
    for name, reason in (("pipe", "not a regular file"), (".", "not a regular file"), ("large", "larger than")):
        with pytest.raises(OSError, match=reason):
            read_file(tmp_path / name, 10)
    assert read_file(tmp_path / "large", 11) == bytes(11)
    assert TrainingLog(tmp_path / "missing").read_episodes() == []
    check_links(tmp_path / "missing")


def test_config_keeps_its_link_mode_and_line_ends_when_it_is_edited(tmp_path: Path) -> None:
    directory = make_corridor_run(tmp_path, training_episodes=3)
    kept = tmp_path / "kept.toml"
    directory.config_path.rename(kept)
    directory.config_path.symlink_to(kept)
    kept.chmod(0o640)
    owner = (kept.stat().st_uid, kept.stat().st_gid)
    assert update_config(directory.path, {("hyperparameters", "gamma"): 0.5})
    assert directory.config_path.is_symlink()
    assert "gamma = 0.5" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o640
    assert (kept.stat().st_uid, kept.stat().st_gid) == owner


def test_a_read_only_config_is_respected_with_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = make_corridor_run(tmp_path, training_episodes=3)
    text = directory.config_path.read_text().replace("gamma = 0.9\n", "")
    directory.config_path.write_text(text)
    directory.config_path.chmod(0o444)
    assert run(["train", str(directory.path), "--actors", "0"]) == 1
    assert "the file is read-only (mode 444); make it writable with chmod u+w" in capsys.readouterr().err
    assert directory.config_path.read_text() == text
    directory.config_path.chmod(0o644)


def test_root_gives_a_replaced_file_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"old")
    if os.geteuid() == 0:
        os.chown(path, 12345, 12346)
    before = path.stat()
    write_atomic(path, b"new")
    after = path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert path.read_bytes() == b"new"
