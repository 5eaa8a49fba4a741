"""Copies of a run in a plain folder and in a real S3 server on this machine, which fails for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from retro_gamer.errors import ClusterError, UsageError
from retro_gamer.runs import mirror as mirror_module
from retro_gamer.runs.directory import RunDirectory
from retro_gamer.runs.mirror import Mirror
from retro_gamer.runs.snapshots import SnapshotFolder, snapshot_name
from retro_gamer.runs.status import STATUS_NAME, FileIndex, RunStatus
from retro_gamer.runs.storage import Storage, hide_secrets

SECRET = "a-secret-of-the-test"


class S3Server:
    """A server of the S3 protocol that can be stopped and started again, its objects kept."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, self.port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{self.port}"

    def stop(self) -> None:
        self._server.stop()

    def start_again(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    import s3fs

    server = S3Server()
    for name, value in {
        "AWS_ENDPOINT_URL": server.endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem.retries = 1
    s3fs.S3FileSystem().mkdirs("bucket", exist_ok=True)
    yield server
    server.stop()


def make_run(folder: Path) -> Path:
    run = folder / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.toml").write_text("config")
    (run / "training.log").write_text("one\n")
    return run


def contents(storage: Storage, *names: str) -> list[bytes | None]:
    return [storage.read(name) for name in names]


def test_a_folder_gets_what_is_new_and_the_state_last(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "status.json").write_text("1")
    storage = Storage(str(tmp_path / "copies" / "deep"))
    mirror = Mirror(run, storage, lambda text: None)
    mirror.copy_new()
    assert contents(storage, "config.toml", "training.log", "status.json") == [b"config", b"one\n", b"1"]
    (run / "training.log").write_text("one\ntwo\n")
    (run / "checkpoints" / "ep_0100.pt").write_bytes(b"weights")
    (run / ".lock").write_text("mine")
    before = (tmp_path / "copies" / "deep" / "config.toml").stat().st_mtime_ns
    mirror.copy_new()
    assert contents(storage, "training.log", "checkpoints/ep_0100.pt", ".lock") == [b"one\ntwo\n", b"weights", None]
    assert (tmp_path / "copies" / "deep" / "config.toml").stat().st_mtime_ns == before
    assert not [name for _, _, names in os.walk(tmp_path / "copies") for name in names if name.startswith(".tmp")]


def test_an_object_store_that_is_away_for_a_while_loses_nothing(
    tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    storage = Storage("s3://bucket/runs/corridor")
    mirror = Mirror(run, storage, lambda text: None)
    mirror.copy_new()
    s3.stop()
    (run / "checkpoints" / "ep_0100.pt").write_bytes(b"weights")
    (run / "training.log").write_text("one\ntwo\n")
    with pytest.raises(ClusterError) as raised:
        mirror.copy_new()
    assert "s3://bucket/runs/corridor" in str(raised.value)
    assert SECRET not in str(raised.value)
    s3.start_again()
    mirror.copy_new()
    assert contents(storage, "training.log", "checkpoints/ep_0100.pt", "config.toml") == [
        b"one\ntwo\n", b"weights", b"config",
    ]  # fmt: skip


def keep(run: Path, *episodes: int) -> None:
    """Write what a run keeps at these episodes, one after the other, as training does."""
    snapshots = SnapshotFolder(run)
    for episode in episodes:
        snapshot = snapshots.begin(snapshot_name(episode))
        snapshot.write(b"memory of %d" % episode)
        snapshot.commit()
        for age, path in enumerate(sorted(snapshots.path.iterdir(), reverse=True)):
            os.utime(path, (1000 - age, 1000 - age))
        snapshots.prune(keep=snapshot.name)
        RunDirectory(run).write_checkpoint(f"ep_{episode:04d}", b"weights of %d" % episode)
        RunDirectory(run).prune_checkpoints()


def write_state(run: Path, state: str = "running") -> None:
    status = RunStatus(
        state=state, text="", notes=(), first_note=0, progress=None, outcome=None, error=None,
        files=FileIndex(run).look(),
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
    mirror = Mirror(run, Storage(str(copy)), lambda text: None)
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
    mirror = Mirror(run, Storage(str(copy)), lambda text: None)
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
    mirror = Mirror(run, storage, lambda text: None)
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
    mirror = Mirror(run, storage, lambda text: None)
    for episode in (1, 2, 3):
        keep(run, episode)
        write_state(run)
        mirror.copy_new()
    found = contents(storage, *(f"checkpoints/ep_000{episode}.pt" for episode in (1, 2, 3)))
    assert found == [None, b"weights of 2", b"weights of 3"]
    storage.remove("checkpoints/ep_0001.pt")  # and that it is gone is no error


def test_a_storage_that_keeps_what_should_go_is_said_once_and_tried_again(tmp_path: Path) -> None:
    run, copy = make_run(tmp_path), tmp_path / "copy"
    said: list[str] = []
    storage = FailingStorage(str(copy), refusals=0, removals_refused=2)
    with Mirror(run, storage, said.append, every_seconds=1000) as mirror:
        for episode in (1, 2, 3, 4):
            keep(run, episode)
            write_state(run)
            mirror.copy_new()
        assert storage.removals_refused == 0
        assert (copy / "checkpoints/ep_0001.pt").exists()
        assert (copy / "checkpoints/ep_0004.pt").exists()
    assert names_in(copy) == names_in(run)
    assert len(said) == 1
    assert "denies access" in said[0]
    assert "Training goes on" in said[0]


def test_a_storage_that_never_lets_go_is_no_failure_of_the_run(tmp_path: Path) -> None:
    run, copy = make_run(tmp_path), tmp_path / "copy"
    with Mirror(run, FailingStorage(str(copy), 0, removals_refused=10**6), lambda text: None) as mirror:
        keep(run, 1)
        mirror.copy_new()
        keep(run, 2, 3)
        write_state(run, "ended")
    assert {"checkpoints/ep_0001.pt", "checkpoints/ep_0003.pt"} <= set(names_in(copy))


class FailingStorage(Storage):
    """A folder that refuses so many writes, then takes everything; it may keep what it has."""

    def __init__(self, uri: str, refusals: int, removals_refused: int = 0) -> None:
        super().__init__(uri)
        self.refusals = refusals
        self.removals_refused = removals_refused

    def remove(self, name: str) -> None:
        if self.removals_refused > 0:
            self.removals_refused -= 1
            raise ClusterError("the storage denies access")
        super().remove(name)

    def write(self, name: str, data: bytes) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise ClusterError("the storage fails: no answer")
        super().write(name, data)


def test_what_is_left_at_the_end_is_copied_before_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path)
    storage = FailingStorage(str(tmp_path / "copy"), refusals=0)
    with Mirror(run, storage, lambda text: None, every_seconds=1000):
        (run / "checkpoints" / "final.pt").write_bytes(b"weights")
        storage.refusals = 2
    assert storage.read("checkpoints/final.pt") == b"weights"


def test_a_storage_that_never_comes_back_is_said_with_where_the_run_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "CLOSING_SECONDS", 0.2)
    run = make_run(tmp_path)
    storage = FailingStorage(str(tmp_path / "copy"), refusals=0)
    mirror = Mirror(run, storage, lambda text: None, every_seconds=1000)
    mirror.__enter__()
    (run / "training.log").write_text("more\n")
    storage.refusals = 10**6
    with pytest.raises(ClusterError, match="complete in"):
        mirror.__exit__(None, None, None)


def test_a_failure_and_its_end_are_said_once_each(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    said: list[str] = []
    storage = FailingStorage(str(tmp_path / "copy"), refusals=0)
    mirror = Mirror(run, storage, said.append, every_seconds=0.02)
    with mirror:
        storage.refusals = 3
        (run / "training.log").write_text("more\n")
        while len(said) < 2:
            mirror.say_notes()
    assert "Training goes on" in said[0]
    assert "is back after" in said[1]
    assert len(said) == 2


def test_a_storage_that_denies_access_says_whose_right_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with (
        pytest.raises(ClusterError, match="copy"),
        Mirror(make_run(tmp_path), Storage(str(tmp_path / "file" / "copy")), lambda text: None),
    ):
        pass


def test_a_bucket_that_is_none_is_an_error_before_training(tmp_path: Path, s3: S3Server) -> None:
    with (
        pytest.raises(ClusterError, match="s3://nobodys"),
        Mirror(make_run(tmp_path), Storage("s3://nobodys/run"), lambda text: None),
    ):
        pass


def test_unknown_kinds_of_storage_are_refused_with_what_to_install() -> None:
    with pytest.raises(UsageError, match="--storage nonsense://x"):
        Storage("nonsense://x")
    with pytest.raises(UsageError, match="pip install gcsfs"):
        Storage("gs://bucket/x")


def test_secrets_in_a_uri_are_not_shown() -> None:
    assert hide_secrets("ftp://me:secret@host/path?key=secret#x") == "ftp://host/path"
    assert hide_secrets("s3://bucket/path") == "s3://bucket/path"
    assert hide_secrets("/mnt/runs") == "/mnt/runs"
