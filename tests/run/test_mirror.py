"""Copies of a run in a plain folder and in a real S3 server on this machine, which fails for a while."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retro_gamer.errors import ClusterError, UsageError
from retro_gamer.run import mirror as mirror_module
from retro_gamer.run.mirror import Mirror, Storage, hide_secrets
from tests.run.storages import SECRET, FailingStorage, S3Server, contents, make_run
from tests.training.stand_ins import RecordingSink


def test_a_folder_gets_what_is_new_and_the_state_last(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "status.json").write_text("1")
    storage = Storage(str(tmp_path / "copies" / "deep"))
    mirror = Mirror(run, storage, RecordingSink())
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
    mirror = Mirror(run, storage, RecordingSink())
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


def test_what_is_left_at_the_end_is_copied_before_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path)
    storage = FailingStorage(str(tmp_path / "copy"), refusals=0)
    with Mirror(run, storage, RecordingSink(), every_seconds=1000):
        (run / "checkpoints" / "final.pt").write_bytes(b"weights")
        storage.refusals = 2
    assert storage.read("checkpoints/final.pt") == b"weights"


def test_a_storage_that_never_comes_back_is_said_with_where_the_run_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "CLOSING_SECONDS", 0.2)
    run = make_run(tmp_path)
    storage = FailingStorage(str(tmp_path / "copy"), refusals=0)
    mirror = Mirror(run, storage, RecordingSink(), every_seconds=1000)
    mirror.__enter__()
    (run / "training.log").write_text("more\n")
    storage.refusals = 10**6
    with pytest.raises(ClusterError, match="complete in"):
        mirror.__exit__(None, None, None)


def test_a_failure_and_its_end_are_said_once_each(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    display = RecordingSink()
    storage = FailingStorage(str(tmp_path / "copy"), refusals=0)
    mirror = Mirror(run, storage, display, every_seconds=0.02)
    with mirror:
        storage.refusals = 3
        (run / "training.log").write_text("more\n")
        while len(display.remarks) < 2:
            mirror.show_remarks()
    assert "Training continues" in display.remarks[0]
    assert "is back after" in display.remarks[1]
    assert len(display.remarks) == 2


def test_a_storage_that_denies_access_says_whose_right_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with (
        pytest.raises(ClusterError, match="copy"),
        Mirror(make_run(tmp_path), Storage(str(tmp_path / "file" / "copy")), RecordingSink()),
    ):
        pass


def test_a_bucket_that_is_none_is_an_error_before_training(tmp_path: Path, s3: S3Server) -> None:
    with (
        pytest.raises(ClusterError, match="s3://nobodys"),
        Mirror(make_run(tmp_path), Storage("s3://nobodys/run"), RecordingSink()),
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
