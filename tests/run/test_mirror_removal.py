"""What a run has removed goes from its copy, too, and nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.mirror import Mirror, Storage
from retro_gamer.run.snapshots import SnapshotFolder, snapshot_name
from retro_gamer.run.status import STATUS_NAME, FileIndex, RunStatus
from tests.run.storages import FailingStorage, S3Server, contents, make_run
from tests.training.stand_ins import RecordingSink


def keep(run: Path, *episodes: int) -> None:
    """Write what a run keeps at these episodes, one after the other, as training does."""
    snapshots = SnapshotFolder(run)
    for episode in episodes:
        snapshot = snapshots.begin(snapshot_name(episode))
        snapshot.write(b"memory of %d" % episode)
        snapshot.commit()
        for age, path in enumerate(sorted(snapshots.path.iterdir(), reverse=True)):
            os.utime(path, (1000 - age, 1000 - age))
        snapshots.prune(snapshot.name)
        RunDirectory(run).write_checkpoint(f"ep_{episode:04d}", b"weights of %d" % episode)
        RunDirectory(run).prune_checkpoints()


def write_state(run: Path, state: str = "running") -> None:
    status = RunStatus(
        state=state, text="", notes=(), first_note=0, progress=None, outcome=None, error=None,
        files=FileIndex(run).scan(),
    )  # fmt: skip
    (run / STATUS_NAME).write_bytes(status.to_bytes())


def names_in(folder: Path) -> list[str]:
    """Return the files below, snapshots without what makes their names unique."""
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name[:-13] if name.endswith(".npz") else name for name in found)


def test_the_copy_keeps_what_the_run_keeps_and_nothing_that_is_not_of_the_run_goes(tmp_path: Path) -> None:
    run, copy = make_run(tmp_path), tmp_path / "copy"
    strangers = ["checkpoints/ep_0149_good.pt", "checkpoints/mine.pt", "replay/notes.txt", "replay/ep_0149.npz", "x.pt"]
    for name in strangers:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("a stranger's")
    mirror = Mirror(run, Storage(str(copy)), RecordingSink())
    for episode in (49, 100, 149, 157, 200, 249, 257, 263):
        keep(run, episode)
        write_state(run)
        mirror.copy_new()
    RunDirectory(run).write_checkpoint("final", b"weights")
    write_state(run, "ended")
    mirror.copy_new()
    kept = [f"checkpoints/{name}.pt" for name in ("ep_0100", "ep_0200", "ep_0257", "ep_0263", "final")]
    kept += ["replay/ep_0257", "replay/ep_0263", "config.toml", "training.log", STATUS_NAME]
    assert names_in(run) == sorted(kept)
    assert {(copy / name).read_text() for name in strangers} == {"a stranger's"}
    for name in strangers:
        (copy / name).unlink()
    assert names_in(copy) == sorted(kept)


def test_nothing_goes_that_the_state_in_the_storage_names(tmp_path: Path) -> None:
    run, copy = make_run(tmp_path), tmp_path / "copy"
    mirror = Mirror(run, Storage(str(copy)), RecordingSink())
    keep(run, 1, 2)
    mirror.copy_new()  # before there is any state
    keep(run, 3)
    mirror.copy_new()
    assert (copy / "checkpoints/ep_0001.pt").exists()
    write_state(run)
    mirror.copy_new()
    assert not (copy / "checkpoints/ep_0001.pt").exists()
    keep(run, 4, 5)  # and the state does not tell of it yet
    mirror.copy_new()
    assert [name for name in names_in(copy) if name.startswith("checkpoints/")] == [
        f"checkpoints/ep_000{number}.pt" for number in (2, 3, 4, 5)
    ]
    write_state(run)
    mirror.copy_new()
    assert names_in(copy) == names_in(run)


def test_a_file_that_was_removed_and_comes_again_is_copied_again(tmp_path: Path) -> None:
    run, storage = make_run(tmp_path), Storage(str(tmp_path / "copy"))
    mirror = Mirror(run, storage, RecordingSink())
    path = RunDirectory(run).write_checkpoint("ep_0007", b"weights")
    for is_there in (True, False, True):
        path.write_bytes(b"weights")
        os.utime(path, (1, 1))
        if not is_there:
            path.unlink()
        write_state(run)
        mirror.copy_new()
        assert (storage.read("checkpoints/ep_0007.pt") is not None) == is_there


def test_an_object_store_lets_go_of_what_the_run_has_removed(tmp_path: Path, s3: S3Server) -> None:
    run, storage = make_run(tmp_path), Storage("s3://bucket/runs/corridor")
    mirror = Mirror(run, storage, RecordingSink())
    for episode in (1, 2, 3):
        keep(run, episode)
        write_state(run)
        mirror.copy_new()
    found = contents(storage, *(f"checkpoints/ep_000{episode}.pt" for episode in (1, 2, 3)))
    assert found == [None, b"weights of 2", b"weights of 3"]
    storage.remove("checkpoints/ep_0001.pt")  # and that it is gone is no error


def leave_copy(folder: Path) -> Path:
    """Return the storage of a run that ended there."""
    run, copy = make_run(folder), folder / "copy"
    keep(run, 49, 57)
    write_state(run, "ended")
    Mirror(run, Storage(str(copy)), RecordingSink()).copy_new()
    return copy


def test_what_an_earlier_sitting_left_goes_when_the_run_goes_on_elsewhere(tmp_path: Path) -> None:
    copy = leave_copy(tmp_path)
    left = names_in(copy)
    other = make_run(tmp_path / "node")
    RunDirectory(other).write_checkpoint("ep_0057", b"weights of 57")  # a job is given only the one it goes on from
    with Mirror(other, Storage(str(copy)), RecordingSink(), every_seconds=1000) as mirror:
        assert names_in(copy) == left  # for the state there still names them
        keep(other, 63)
        write_state(other)
        mirror.copy_new()
        assert names_in(copy) == names_in(other)


def test_what_another_run_left_in_the_storage_stays(tmp_path: Path) -> None:
    copy = leave_copy(tmp_path)
    left = names_in(copy)
    other = make_run(tmp_path / "node")
    RunDirectory(other).write_checkpoint("ep_0057", b"other weights of 57")
    with Mirror(other, Storage(str(copy)), RecordingSink(), every_seconds=1000) as mirror:
        for episode in (61, 62, 63):
            keep(other, episode)
            write_state(other)
            mirror.copy_new()
    assert set(left) - {"checkpoints/ep_0057.pt"} <= set(names_in(copy))


def test_a_state_that_cannot_be_read_is_in_nobodys_way(tmp_path: Path) -> None:
    run, copy = make_run(tmp_path), tmp_path / "copy"
    Storage(str(copy)).write(STATUS_NAME, b"no state at all")
    with Mirror(run, Storage(str(copy)), RecordingSink(), every_seconds=1000):
        keep(run, 1)
    assert (copy / "checkpoints/ep_0001.pt").exists()


def test_a_storage_that_keeps_what_should_go_is_said_once_and_tried_again(tmp_path: Path) -> None:
    run, copy = make_run(tmp_path), tmp_path / "copy"
    display = RecordingSink()
    storage = FailingStorage(str(copy), refusals=0, removals_refused=2)
    with Mirror(run, storage, display, every_seconds=1000) as mirror:
        for episode in (1, 2, 3, 4):
            keep(run, episode)
            write_state(run)
            mirror.copy_new()
        assert storage.removals_refused == 0
        assert (copy / "checkpoints/ep_0001.pt").exists()
        assert (copy / "checkpoints/ep_0004.pt").exists()
    assert names_in(copy) == names_in(run)
    assert len(display.remarks) == 1
    assert "denies access" in display.remarks[0]
    assert "Training continues" in display.remarks[0]


def test_a_storage_that_never_lets_go_is_no_failure_of_the_run(tmp_path: Path) -> None:
    run, copy = make_run(tmp_path), tmp_path / "copy"
    with Mirror(run, FailingStorage(str(copy), 0, removals_refused=10**6), RecordingSink()) as mirror:
        keep(run, 1)
        mirror.copy_new()
        keep(run, 2, 3)
        write_state(run, "ended")
    assert {"checkpoints/ep_0001.pt", "checkpoints/ep_0003.pt"} <= set(names_in(copy))
