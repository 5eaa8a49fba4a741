"""`info --verify`: every file of a run is read, and a damaged one is named."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.fuzz import make_status
from retro_gamer.cli import run
from retro_gamer.jobs.submission import JobNote
from retro_gamer.learning.checkpoint import DIGEST, load_checkpoint
from tests.training.corridors import make_corridor_run, train_here

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained to its end, with the files of a job."""
    folder = make_corridor_run(tmp_path_factory.mktemp("verified"), training_episodes=120)
    train_here(folder)
    (folder.path / "status.json").write_text(json.dumps(make_status()))
    JobNote(
        address="http://127.0.0.1:8265", submission_id="job", storage=None, resumed_from=None, episodes=0
    ).save(folder.path)  # fmt: skip
    return folder.path


def verify(run_dir: Path, capsys: Captured, *options: str) -> tuple[int, str]:
    status = run(["info", str(run_dir), "--verify", *options])
    return status, capsys.readouterr().out


def test_every_file_of_a_trained_run_is_whole(trained: Path, capsys: Captured) -> None:
    status, text = verify(trained, capsys)
    assert status == 0
    snapshots = sorted(f"replay/{name}" for name in os.listdir(trained / "replay"))
    files = ["config.toml", "training.log", "checkpoints/ep_0100.pt", "checkpoints/final.pt", *snapshots]
    files += ["status.json", ".job.json"]
    assert text.splitlines() == [*(f"{name}: whole" for name in files), f"0 of {len(files)} files damaged."]


@pytest.mark.parametrize(
    ("name", "spoil", "reason"),
    [
        ("config.toml", lambda data: data.replace(b"gamma = 0.9", b"gamma = 9.9"), "gamma = 9.9"),
        ("training.log", lambda data: data.replace(b"[EP 0050] total", b"[EP 0050] tot\0l"), "line"),
        ("training.log", lambda data: data.replace(b"[EP 0050]", b"[EP 0051]"), "episode 51 follows episode 49"),
        ("checkpoints/ep_0100.pt", lambda data: flip(data, len(data) // 2), "does not have the digest"),
        ("checkpoints/final.pt", lambda data: data[:-300], "damaged"),
        ("replay", lambda data: flip(data, len(data) // 2), "does not have the digest"),
        ("status.json", lambda data: data.replace(b'"turns": 40', b'"turns": []'), "turns must be int"),
        (".job.json", lambda data: data[:-3], "damaged"),
    ],
)
def test_a_damaged_file_is_named_and_the_others_are_whole(
    trained: Path, capsys: Captured, name: str, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    path = trained / name
    path = next(path.iterdir()) if path.is_dir() else path
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    try:
        assert path.read_bytes() != whole
        status, text = verify(trained, capsys)
        report = json.loads(verify(trained, capsys, "--json")[1])
    finally:
        path.write_bytes(whole)
    assert status == 1
    file = str(path.relative_to(trained))
    assert f"{file}: DAMAGED: " in text
    assert reason in text
    assert report["damaged"] == [file]
    assert [each["problem"] is None for each in report["files"] if each["file"] != file] == [True] * (
        len(report["files"]) - 1
    )


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_a_checkpoint_without_a_digest_is_whole_with_a_remark(trained: Path, capsys: Captured) -> None:
    state = load_checkpoint((trained / "checkpoints" / "final.pt").read_bytes(), "final.pt")
    del state[DIGEST]
    older = trained / "checkpoints" / "abandoned-1" / "final.pt"
    older.parent.mkdir()
    torch.save(state, older)
    try:
        status, text = verify(trained, capsys)
    finally:
        older.unlink()
        older.parent.rmdir()
    assert status == 0
    assert "checkpoints/abandoned-1/final.pt: whole (of an older version, without a digest" in text


def test_a_torn_last_line_is_no_damage(trained: Path, capsys: Captured) -> None:
    log = trained / "training.log"
    whole = log.read_bytes()
    log.write_bytes(whole[:-9])
    try:
        status, text = verify(trained, capsys)
    finally:
        log.write_bytes(whole)
    assert status == 0
    assert "training.log: whole (its last line is torn; training removes it)" in text


def test_the_status_used_here_has_every_field_of_a_status() -> None:
    from retro_gamer.run.status import RunStatus

    assert {field.name for field in dataclasses.fields(RunStatus)} | {"format_version"} == set(make_status())
