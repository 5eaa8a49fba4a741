"""A run that is followed through a storage keeps at home what it keeps where it is trained."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from retro_gamer.jobs.client import JobServer
from retro_gamer.jobs.following import RunFiles, RunFollower
from retro_gamer.jobs.submission import JobNote
from retro_gamer.run.events import (
    Checkpoint,
    SnapshotBegun,
    SnapshotCommitted,
    SnapshotPiece,
    Started,
    Starting,
)
from retro_gamer.run.mirror import Mirror, Storage
from retro_gamer.run.snapshots import snapshot_name
from retro_gamer.run.status import STATUS_NAME, RunStatus, StatusPublisher
from retro_gamer.run.writer import RunWriter
from tests.training.corridors import make_corridor_run
from tests.training.stand_ins import RecordingSink

NOTE = JobNote(address="http://h:1", submission_id="job", storage="copy", resumed_from=None, episodes=0)


class LateFiles(RunFiles):
    """Reads from a storage; what `meanwhile` does happens once, between a status and the files it names."""

    def __init__(self, storage: Path) -> None:
        super().__init__(dataclasses.replace(NOTE, storage=str(storage)), JobServer(NOTE.address))
        self.meanwhile: Callable[[], None] | None = None
        self.missed: list[str] = []

    def read(self, name: str) -> bytes | None:
        data = super().read(name)
        if data is None:
            self.missed.append(name)
        if name == STATUS_NAME and self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            act()
        return data


class Far:
    """A run that is trained elsewhere, copied to a storage, and followed from `home`."""

    def __init__(self, folder: Path) -> None:
        self.home, self.away = (make_corridor_run(folder, run_name=name) for name in ("home", "away"))
        self.away.config_path.write_bytes(self.home.config_path.read_bytes())
        self.copy = folder / "copy"
        self.writer = RunWriter(self.away)
        self.status = StatusPublisher(self.away, NOTE.submission_id)
        self.mirror = Mirror(self.away.path, Storage(str(self.copy)), RecordingSink())
        self.files = LateFiles(self.copy)
        self.writer.handle(Started("text"))
        self.status.handle(Starting("text"))
        self.mirror.copy_new()

    def follower(self, note: JobNote = NOTE) -> RunFollower:
        return RunFollower(self.home, note, self.files, RecordingSink())

    def train(self, *episodes: int) -> None:
        """Keep a memory and a checkpoint at each of these episodes; each time the state and the copy follow."""
        for episode in episodes:
            self.writer.handle(SnapshotBegun(snapshot_name(episode)))
            self.writer.handle(SnapshotPiece(b"memory of %d" % episode))
            self.writer.handle(SnapshotCommitted())
            for path in (self.away.path / "replay").iterdir():  # one a second, not all within the clock's grain
                seconds = int(path.name[3:7])
                os.utime(path, (seconds, seconds))
            self.writer.handle(Checkpoint(f"ep_{episode:04d}", b"weights of %d" % episode))
            self.status.write("running")
            self.mirror.copy_new()

    def end(self) -> None:
        self.writer.handle(Checkpoint("final", b"weights"))
        self.status.write("ended")
        self.mirror.copy_new()


@pytest.fixture
def far(tmp_path: Path) -> Far:
    return Far(tmp_path)


def kept(folder: Path) -> list[str]:
    found = [
        path.relative_to(folder).as_posix() for part in ("checkpoints", "replay") for path in folder.glob(part + "/*")
    ]
    return sorted(found)


def of(status: RunStatus | None) -> list[str]:
    assert status is not None
    return sorted(name for name in status.files if "/" in name)


def test_home_keeps_what_the_run_keeps_however_long_it_is_followed(far: Far) -> None:
    follower = far.follower()
    stranger = far.home.checkpoints_dir / "ep_0049_good.pt"
    stranger.parent.mkdir(exist_ok=True)
    stranger.write_bytes(b"mine")
    for episode in (49, 57, 100, 163, 171, 200, 213, 227):
        far.train(episode)
        follower.update()
    names = [file.name for file in far.home.checkpoints()]
    assert names == ["ep_0100", "ep_0200", "ep_0213", "ep_0227"]
    far.end()
    ended = follower.update(whole=True)
    assert stranger.read_bytes() == b"mine"
    stranger.unlink()
    assert kept(far.home.path) == kept(far.away.path) == kept(far.copy) == of(ended)


def test_a_follower_late_by_several_statuses_continues_with_the_next(far: Far) -> None:
    far.train(10, 20)
    follower = far.follower()
    follower.update()
    far.train(30)
    far.files.meanwhile = lambda: far.train(40, 50, 60)
    late = follower.update()
    assert late is not None
    assert "checkpoints/ep_0030.pt" in late.files
    assert far.files.missed == ["checkpoints/ep_0030.pt"]
    assert [file.episode for file in far.home.checkpoints()] == [10, 20]  # nothing goes before its successor is here
    follower.update()
    assert [file.episode for file in far.home.checkpoints()] == [50, 60]


def test_a_follower_that_returns_after_a_long_time_keeps_two_as_well(far: Far) -> None:
    far.train(10, 20, 100)
    far.follower().update(whole=True)
    far.train(130, 140, 150)
    far.end()
    far.follower().update(whole=True)
    assert kept(far.home.path) == kept(far.away.path)


def test_every_file_that_a_status_in_the_storage_names_exists(far: Far) -> None:
    follower = far.follower()
    for episode in (10, 20, 30, 100, 110):
        far.train(episode)
        status = follower.update(whole=True)
        assert [name for name in of(status) if not (far.copy / name).exists()] == []
        assert far.files.missed == []


def test_a_checkpoint_that_the_status_names_is_fetched_once(far: Far) -> None:
    for episode in (980, 990):  # of another run in the same directory, and newer by their names
        far.home.write_checkpoint(f"ep_{episode:04d}", b"old")
    follower = far.follower()
    for episode in (10, 20, 30):
        far.train(episode)
        follower.update()
    assert [file.episode for file in far.home.checkpoints()] == [20, 30, 980, 990]


def test_nothing_is_deleted_here_before_the_job_has_begun(tmp_path: Path) -> None:
    far = Far(tmp_path)
    for episode in (130, 149, 157):
        far.home.write_checkpoint(f"ep_{episode:04d}", b"old")
    far.away.write_checkpoint("ep_0130", b"old")
    unbegun = StatusPublisher(far.away, NOTE.submission_id)
    unbegun.write("running")
    far.mirror.copy_new()
    note = dataclasses.replace(NOTE, resumed_from="ep_0130", episodes=130)
    far.follower(note).update()
    assert [file.episode for file in far.home.checkpoints()] == [130, 149, 157]
    far.train(141)
    far.follower(note).update()
    assert [file.episode for file in far.home.checkpoints()] == [130, 141]
    assert (far.home.checkpoints_dir / "abandoned-1" / "ep_0157.pt").exists()
