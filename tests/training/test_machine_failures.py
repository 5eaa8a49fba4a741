"""What a machine does to a run in one process, done for real: a disk that is full for a while, memory that is gone."""

from __future__ import annotations

import hashlib
import io
import os
import re
import resource
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from retro_gamer.errors import StorageError
from retro_gamer.learning.checkpoint import load_checkpoint
from retro_gamer.replay.snapshot import read_snapshot, write_snapshot
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import Progress, SnapshotBegun, SnapshotCommitted, SnapshotPiece, Started
from retro_gamer.run.snapshots import SnapshotFolder, snapshot_name
from retro_gamer.run.writer import RunWriter
from retro_gamer.training.loop import training_loop
from tests.read_only import Folder
from tests.training.corridors import episodes_of, make_corridor_run, train_here
from tests.training.stand_ins import RecordingSink


class FullDisk(RecordingSink):
    """Lets this process write no file beyond some bytes between two episodes."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.first, self.last = first, last
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_progress(self, progress: Progress) -> None:
        is_full = self.first <= progress.episodes < self.last
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, self.before[1]) if is_full else self.before)

    def close(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def read(run: RunDirectory, name: str) -> dict[str, Any]:
    return load_checkpoint(run.resolve_checkpoint(name).path.read_bytes(), name)


def test_a_disk_that_is_full_for_a_while_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_loop, "REPORT_SECONDS", 0.0)
    run = make_corridor_run(tmp_path, training_episodes=120)
    display = FullDisk(95, 110)
    assert train_here(run, display=display).complete
    assert len(episodes_of(run)) == 120
    # The checkpoint of episode 100 found no room; the newest one is what counts.
    assert read(run, "latest")["episode"] == 120
    assert len([remark for remark in display.remarks if "cannot be written" in remark]) == 1
    assert not list(run.path.rglob(".tmp-*"))


def test_a_disk_that_stays_full_is_an_error_and_what_was_there_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "REPORT_SECONDS", 0.0)
    run = make_corridor_run(tmp_path, training_episodes=120)
    display = FullDisk(105, 10**9)
    try:
        with pytest.raises(StorageError, match="--resume latest"):
            train_here(run, display=display)
    finally:
        display.close()
    assert [file.name for file in run.checkpoints()] == ["ep_0100"]
    assert len(episodes_of(run)) in range(100, 110)
    assert not list(run.path.rglob(".tmp-*"))
    train_here(run, resume="latest")
    assert len(episodes_of(run)) == 120


class ReadOnly(RecordingSink):
    """Makes a folder read-only between two episodes, and writable again."""

    def __init__(self, folder: Folder, first: int, last: int) -> None:
        super().__init__()
        self.folder, self.first, self.last = folder, first, last

    def on_progress(self, progress: Progress) -> None:
        if not self.first <= progress.episodes < self.last:
            self.folder.open()
        elif not self.folder.is_read_only:
            self.folder.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    monkeypatch.setattr(training_loop, "REPORT_SECONDS", 0.0)
    made = Folder(tmp_path)
    yield made
    made.open()


@pytest.mark.mounts
def test_a_file_system_that_is_read_only_for_a_while_costs_nothing(folder: Folder) -> None:
    run = make_corridor_run(folder.path, training_episodes=120)
    display = ReadOnly(folder, 95, 110)
    assert train_here(run, display=display).complete
    assert len(episodes_of(run)) == 120
    assert read(run, "latest")["episode"] == 120
    assert len([remark for remark in display.remarks if "Read-only file system" in remark]) == 1
    assert not list(run.path.rglob(".tmp-*"))


@pytest.mark.mounts
def test_a_file_system_that_stays_read_only_is_an_error_and_what_was_there_is_whole(folder: Folder) -> None:
    run = make_corridor_run(folder.path, training_episodes=120)
    with pytest.raises(StorageError, match=r"Read-only file system.*(?s:.)*--resume latest"):
        train_here(run, display=ReadOnly(folder, 105, 10**9))
    assert [file.name for file in run.checkpoints()] == ["ep_0100"]
    folder.open()
    assert train_here(run, resume="latest").complete
    assert len(episodes_of(run)) == 120


@pytest.mark.mounts
def test_a_copy_of_the_memory_that_turns_read_only_half_way_is_given_up(folder: Folder) -> None:
    run = make_corridor_run(folder.path)
    display = RecordingSink()
    writer = RunWriter(run)
    writer.display = display
    writer.handle(Started("Architecture"))
    writer.handle(SnapshotBegun(snapshot_name(3)))
    writer.handle(SnapshotPiece(b"piece"))
    folder.close()
    writer.handle(SnapshotCommitted())
    assert "Read-only file system" in display.remarks[0]
    folder.open()
    name = snapshot_name(4)
    writer.handle(SnapshotBegun(name))
    writer.handle(SnapshotCommitted())
    assert os.listdir(run.path / "replay") == [name], "what could not be removed then is removed now"


def snapshot_of(run: RunDirectory, name: str) -> Path:
    return SnapshotFolder(run.path).path / str(read(run, name)["replay_snapshot"])


ENDLESS = {"bit_generator": "PCG64", "state": {"state": 0, "inc": 0}, "has_uint32": 0, "uinteger": 0}
"""A state from which numpy draws 0 for ever, so that a draw with rejection never ends."""


def change_byte(path: Path, place: Callable[[bytes], int]) -> None:
    data = bytearray(path.read_bytes())
    data[place(bytes(data))] ^= 1
    path.write_bytes(data)


def rewrite(path: Path, *, flag_bits: int = 0, compress_type: int = 8, header: bytes = b"", **changes: Any) -> None:
    """Write the snapshot again as a stranger would: with other values, and with a digest that is right."""
    file = io.BytesIO()
    write_snapshot({**read_snapshot(path.read_bytes(), 10**9), **changes}, file)
    data = bytearray(file.getvalue())
    if header:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = {name: archive.read(name) for name in archive.namelist()}
        plain = io.BytesIO()
        with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as rewritten:
            for name, content in members.items():
                rewritten.writestr(name, content[:10] + header + content[10 + len(header) :])
        data = bytearray(plain.getvalue())
    for place in (found.start() for found in re.finditer(rb"PK\x01\x02", bytes(data))):  # each entry of the directory
        data[place + 8] |= flag_bits
        data[place + 10] = compress_type
    if not header:
        data[-64:] = hashlib.sha256(data[:-64]).hexdigest().encode()
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "is gone"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "cannot be used"),
        (lambda path: path.write_bytes(b""), "is gone"),
        (lambda path: (path.unlink(), path.mkdir()), "is gone"),
        (lambda path: change_byte(path, lambda data: len(data) // 2), "does not have the digest"),
        (lambda path: change_byte(path, lambda data: data.rindex(b"PK\x01\x02") + 8), "does not have the digest"),
        (lambda path: rewrite(path, flag_bits=0x1), "cannot be used"),
        (lambda path: rewrite(path, compress_type=zipfile.ZIP_LZMA), "cannot be used"),
        (lambda path: rewrite(path, oldest=2**63), "oldest of a replay state must be a count"),
        (lambda path: rewrite(path, oldest=2**200), "oldest of a replay state must be a count"),
        (lambda path: rewrite(path, random=ENDLESS), "random of a replay state must be the state of a PCG64"),
        (lambda path: rewrite(path, header=b"{'descr': ('|u1', 'shape': (3"), "cannot be used"),
    ],
)
def test_a_copy_of_the_memory_that_is_gone_or_damaged_is_said_and_the_memory_filled_first(
    tmp_path: Path, spoil: Any, said: str
) -> None:
    run = make_corridor_run(tmp_path, training_episodes=40)
    train_here(run)
    before = read(run, "final")
    spoil(snapshot_of(run, "final"))
    text = run.config_path.read_text()
    run.config_path.write_text(text.replace("training_episodes = 40", "training_episodes = 60"))
    outcome = train_here(run, resume="latest")
    assert said in next(line for line in run.log_path.read_text().splitlines() if "memory starts empty" in line)
    # No update is done before as many turns are played as before the first one.
    assert outcome.updates - before["total_steps"] == (outcome.turns - before["total_turns"] - 50) // 4


def test_checkpoints_and_copies_come_every_few_minutes_and_old_ones_go(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=130, checkpoint_minutes=1e-9)
    train_here(run)
    assert [file.name for file in run.checkpoints()] == ["ep_0100", "ep_0129", "ep_0130", "final"]
    assert len(list(SnapshotFolder(run.path).path.iterdir())) == 2
    assert snapshot_of(run, "final").exists()
