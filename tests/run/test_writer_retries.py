"""A disk without room, for real: the size to which this process may write files is limited for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.errors import ConfigurationError
from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.run import writer
from retro_gamer.run.config import RunConfig, load_config, write_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import (
    CharacterSet,
    Checkpoint,
    Remark,
    SnapshotBegun,
    SnapshotCommitted,
    SnapshotPiece,
    Started,
)
from retro_gamer.run.log import EpisodeLine, TrainingLog
from retro_gamer.run.snapshots import SnapshotFolder, snapshot_name
from retro_gamer.run.writer import RETRY_SECONDS, RunWriter
from tests.full_disk import no_room_beyond
from tests.training.stand_ins import RecordingSink


class Desk:
    """A run directory, its writer, and the display of its troubles."""

    def __init__(self, folder: Path) -> None:
        metadata = GameMetadata(actions=("KEY_UP",), reward="score")
        write_config(folder, RunConfig(source=None, metadata=metadata, hyperparameters=Hyperparameters()))
        self.run = RunDirectory(folder)
        self.now = 0.0
        self.display = RecordingSink()
        self.writer = RunWriter(self.run, clock=lambda: self.now)
        self.writer.display = self.display
        self.writer.handle(Started("Architecture"))

    def episodes(self) -> list[int]:
        return [line.episode for line in TrainingLog(self.run.log_path).read_episodes()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def line(episode: int) -> EpisodeLine:
    return EpisodeLine(episode=episode, total_reward=1.0, steps=5, epsilon=0.5, avg_loss=0.25)


def test_lines_that_found_no_room_are_written_in_order_once_there_is_some(desk: Desk) -> None:
    desk.writer.handle(line(1))
    size = desk.run.log_path.stat().st_size
    with no_room_beyond(size + 20):  # a piece of the next line fits
        for episode in (2, 3):
            desk.writer.handle(line(episode))
        desk.writer.handle(Remark("a remark"))
        assert desk.episodes() == [1]
        desk.now += RETRY_SECONDS
        desk.writer.handle(line(4))
        assert desk.episodes() == [1]
    desk.writer.handle(line(5))
    assert desk.episodes() == [1]  # it is not tried again at every line
    desk.now += RETRY_SECONDS
    desk.writer.handle(line(6))
    assert desk.episodes() == [1, 2, 3, 4, 5, 6]
    assert desk.run.log_path.read_text().splitlines()[4] == "# a remark"
    assert len(desk.display.remarks) == 2
    assert "cannot be written: " in desk.display.remarks[0]
    assert "nothing was lost" in desk.display.remarks[1]


def test_a_checkpoint_without_room_leaves_the_old_one_whole_and_the_newest_is_written_later(desk: Desk) -> None:
    desk.writer.handle(Checkpoint("final", b"old" * 10))
    with no_room_beyond(1000):
        desk.writer.handle(Checkpoint("ep_0001", bytes(2000)))
        desk.writer.handle(Checkpoint("final", bytes(3000)))
        desk.writer.handle(CharacterSet(("@",)))
        with pytest.raises(OSError, match="File too large"):
            desk.writer.finish()
        assert [path.name for path in desk.run.checkpoints_dir.iterdir()] == ["final.pt"]
        assert (desk.run.checkpoints_dir / "final.pt").read_bytes() == b"old" * 10
    desk.writer.finish()
    assert (desk.run.checkpoints_dir / "final.pt").read_bytes() == bytes(3000)
    assert load_config(desk.run.path).metadata.character_set == ("@",)


def test_a_copy_of_the_memory_without_room_is_given_up_and_leaves_nothing(desk: Desk) -> None:
    writer, folder = desk.writer, SnapshotFolder(desk.run.path)
    with no_room_beyond(1000):
        writer.handle(SnapshotBegun(snapshot_name(3)))
        for _ in range(3):
            writer.handle(SnapshotPiece(bytes(2000)))
        writer.handle(SnapshotCommitted())
    writer.finish()
    assert list(folder.path.iterdir()) == []
    name = snapshot_name(4)
    writer.handle(SnapshotBegun(name))
    writer.handle(SnapshotPiece(bytes(2000)))
    writer.handle(SnapshotCommitted())
    assert folder.read(name) == bytes(2000)


def test_what_cannot_even_begin_does_not_begin(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with no_room_beyond(5), pytest.raises(OSError):
        desk.writer.handle(Started("Architecture " * 10))


def test_lines_do_not_wait_without_bound(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_WAITING", 10)
    with no_room_beyond(10), pytest.raises(OSError):  # noqa: PT012  # it is the twelfth that is one too many
        for episode in range(12):
            desk.writer.handle(line(episode))


def test_a_configuration_in_the_middle_of_an_edit_is_waited_for_and_no_checkpoint_is(desk: Desk) -> None:
    whole = desk.run.config_path.read_text()
    desk.run.config_path.write_text(whole + "layer_size = [")
    desk.writer.handle(CharacterSet(("@", ">")))
    desk.writer.handle(Checkpoint("ep_0001", b"weights"))
    assert desk.run.resolve_checkpoint("ep_0001").path.read_bytes() == b"weights"
    assert "config.toml" in desk.display.remarks[0]
    assert "Training continues" in desk.display.remarks[0]
    with pytest.raises(ConfigurationError):
        desk.writer.finish()
    desk.run.config_path.write_text(whole)
    desk.now += RETRY_SECONDS
    desk.writer.handle(line(1))
    assert load_config(desk.run.path).metadata.character_set == ("@", ">")
    assert "can be written again" in desk.display.remarks[1]
    desk.writer.finish()
