from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.run.config import RunConfig, load_config, write_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import (
    CharacterSet,
    Checkpoint,
    Remark,
    SnapshotBegun,
    SnapshotCommitted,
    SnapshotDiscarded,
    SnapshotPiece,
    Started,
)
from retro_gamer.run.log import EpisodeLine
from retro_gamer.run.snapshots import KEPT, SnapshotFolder, snapshot_name
from retro_gamer.run.writer import RunWriter
from tests.full_disk import no_room_beyond
from tests.run.test_events import PROGRESS
from tests.training.stand_ins import RecordingSink


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    metadata = GameMetadata(actions=("KEY_UP",), reward="score")
    write_config(tmp_path, RunConfig(source=None, metadata=metadata, hyperparameters=Hyperparameters()))
    return RunDirectory(tmp_path)


def line(episode: int) -> EpisodeLine:
    return EpisodeLine(episode=episode, total_reward=1.0, steps=5, epsilon=0.5, avg_loss=0.25)


def test_a_new_run_is_written_from_its_description_on(run: RunDirectory) -> None:
    writer = RunWriter(run)
    writer.handle(Started("Architecture\n  so and so"))
    writer.handle(Remark("the first\nremark"))
    writer.handle(line(1))
    assert run.log_path.read_text().splitlines() == [
        "Architecture",
        "  so and so",
        "# the first",
        "# remark",
        "[EP 0001] total_reward=1.0 steps=5 epsilon=0.5 avg_loss=0.25",
    ]
    writer.handle(Checkpoint("ep_0001", b"bytes"))
    assert (run.checkpoints_dir / "ep_0001.pt").read_bytes() == b"bytes"
    writer.handle(CharacterSet(("@", ">")))
    assert load_config(run.path).metadata.character_set == ("@", ">")


def test_half_written_files_of_a_killed_training_are_deleted_at_the_next_start(run: RunDirectory) -> None:
    run.checkpoints_dir.mkdir()
    left = [run.checkpoints_dir / ".tmp-ep_0100.pt-12-0a1b2c3d", run.path / ".tmp-config.toml-12-0a1b2c3d"]
    for path in left:
        path.write_bytes(b"half")
    RunWriter(run).handle(Started("Architecture"))
    assert not any(path.exists() for path in left)


def test_a_run_resumed_from_another_starts_its_log_as_every_run_does(run: RunDirectory, tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    other.write_bytes(b"of another run")
    file = run.resolve_resume(str(other))
    writer = RunWriter(run, resumed_from=file, episodes=300)
    writer.handle(Started("Architecture"))
    assert run.log_path.read_text() == "Architecture\n# Resumed at episode 300.\n"
    assert not (run.path / "training.log.1").exists()


def test_a_resumed_run_is_rewound_only_when_it_starts(run: RunDirectory) -> None:
    first = RunWriter(run)
    first.handle(Started("Architecture"))
    for episode in range(1, 6):
        first.handle(line(episode))
    for name in ("ep_0002", "ep_0005"):
        first.handle(Checkpoint(name, name.encode()))
    before = run.log_path.read_text()
    second = RunWriter(run, resumed_from=run.resolve_checkpoint("ep_0002"), episodes=2)
    assert run.log_path.read_text() == before
    assert [file.name for file in run.checkpoints()] == ["ep_0002", "ep_0005"]
    second.handle(Started("Architecture"))
    second.handle(line(3))
    assert [file.name for file in run.checkpoints()] == ["ep_0002"]
    episodes = [text for text in run.log_path.read_text().splitlines() if text.startswith("[EP")]
    assert [text[:9] for text in episodes] == ["[EP 0001]", "[EP 0002]", "[EP 0003]"]
    assert (run.path / "training.log.1").read_text() == before


def test_a_snapshot_is_there_once_it_is_committed(run: RunDirectory) -> None:
    writer, folder = RunWriter(run), SnapshotFolder(run.path)
    given_up, kept = snapshot_name(3), snapshot_name(3)
    writer.handle(SnapshotBegun(given_up))
    writer.handle(SnapshotPiece(b"given up"))
    writer.handle(SnapshotBegun(kept))
    for piece in (b"one ", b"two"):
        writer.handle(SnapshotPiece(piece))
    assert (folder.read(given_up), folder.read(kept)) == (None, None)
    writer.handle(SnapshotCommitted())
    assert (folder.read(given_up), folder.read(kept)) == (None, b"one two")
    assert [path.name for path in folder.path.iterdir()] == [kept]


def test_older_snapshots_go_and_nothing_is_written_without_one(run: RunDirectory) -> None:
    writer = RunWriter(run)
    names = [snapshot_name(episode) for episode in range(1, 6)]
    for name in names:
        writer.handle(SnapshotBegun(name))
        writer.handle(SnapshotCommitted())
    folder = SnapshotFolder(run.path)
    assert len(list(folder.path.iterdir())) == KEPT
    assert folder.read(names[-1]) == b""
    writer.handle(SnapshotBegun(snapshot_name(6)))
    writer.handle(SnapshotDiscarded())
    writer.handle(SnapshotPiece(b"lost"))
    writer.handle(SnapshotCommitted())
    writer.handle(SnapshotDiscarded())
    assert len(list(folder.path.iterdir())) == KEPT


@pytest.mark.parametrize("name", ["../ep_0001-00000000.npz", "ep_0001.npz", "config.toml"])
def test_a_snapshot_has_a_name_of_ours(run: RunDirectory, name: str) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        RunWriter(run).handle(SnapshotBegun(name))


def test_an_open_writer_writes_what_is_for_the_disk_and_shows_everything(run: RunDirectory) -> None:
    display = RecordingSink()
    with RunWriter(run).open(display) as sink:
        for event in (Started("Architecture"), Remark("a remark"), line(1), PROGRESS):
            sink.handle(event)
    assert display.events == [Started("Architecture"), Remark("a remark"), line(1), PROGRESS]
    assert run.log_path.read_text().splitlines()[:2] == ["Architecture", "# a remark"]
    assert len(run.log_path.read_text().splitlines()) == 3


def test_an_error_in_training_is_raised_after_what_waits_was_written(run: RunDirectory) -> None:
    writer = RunWriter(run)
    with pytest.raises(ZeroDivisionError), writer.open(RecordingSink()) as sink:  # noqa: PT012  # it is that of the block
        with no_room_beyond(10):
            sink.handle(Checkpoint("ep_0001", bytes(100)))
        assert not run.checkpoints()
        raise ZeroDivisionError
    assert [file.name for file in run.checkpoints()] == ["ep_0001"]
