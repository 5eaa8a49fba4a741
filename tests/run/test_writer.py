from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.run.config import RunConfig, load_config, write_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.log import EpisodeLine
from retro_gamer.run.snapshots import KEPT, SnapshotFolder, snapshot_name
from retro_gamer.run.writer import DirectoryWriter


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    metadata = GameMetadata(actions=("KEY_UP",), reward="score")
    write_config(tmp_path, RunConfig(source=None, metadata=metadata, hyperparameters=Hyperparameters()))
    return RunDirectory(tmp_path)


def line(episode: int) -> EpisodeLine:
    return EpisodeLine(episode=episode, total_reward=1.0, steps=5, epsilon=0.5, avg_loss=0.25)


def test_a_new_run_is_written_from_its_description_on(run: RunDirectory) -> None:
    writer = DirectoryWriter(run)
    writer.begin("Architecture\n  so and so")
    writer.write_note("the first\nremark")
    writer.write_episode(line(1))
    assert run.log_path.read_text().splitlines() == [
        "Architecture",
        "  so and so",
        "# the first",
        "# remark",
        "[EP 0001] total_reward=1.0 steps=5 epsilon=0.5 avg_loss=0.25",
    ]
    writer.write_checkpoint("ep_0001", b"bytes")
    assert (run.checkpoints_dir / "ep_0001.pt").read_bytes() == b"bytes"
    writer.write_characters(("@", ">"))
    assert load_config(run.path).metadata.character_set == ("@", ">")


def test_what_a_kill_left_half_written_goes_when_the_next_sitting_begins(run: RunDirectory) -> None:
    run.checkpoints_dir.mkdir()
    left = [run.checkpoints_dir / ".tmp-ep_0100.pt-12-0a1b2c3d", run.path / ".tmp-config.toml-12-0a1b2c3d"]
    for path in left:
        path.write_bytes(b"half")
    DirectoryWriter(run).begin("Architecture")
    assert not any(path.exists() for path in left)


def test_a_run_that_goes_on_from_another_begins_its_log_as_every_run_does(run: RunDirectory, tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    other.write_bytes(b"of another run")
    file = run.resolve_resume(str(other))
    writer = DirectoryWriter(run, resumed_from=file, episodes=300)
    writer.begin("Architecture")
    assert run.log_path.read_text() == "Architecture\n# Resumed at episode 300.\n"
    assert not (run.path / "training.log.1").exists()


def test_a_run_that_goes_on_is_rewound_only_when_its_sitting_begins(run: RunDirectory) -> None:
    first = DirectoryWriter(run)
    first.begin("Architecture")
    for episode in range(1, 6):
        first.write_episode(line(episode))
    for name in ("ep_0002", "ep_0005"):
        first.write_checkpoint(name, name.encode())
    before = run.log_path.read_text()
    second = DirectoryWriter(run, resumed_from=run.resolve_checkpoint("ep_0002"), episodes=2)
    assert run.log_path.read_text() == before
    assert [file.name for file in run.checkpoints()] == ["ep_0002", "ep_0005"]
    second.begin("Architecture")
    second.write_episode(line(3))
    assert [file.name for file in run.checkpoints()] == ["ep_0002"]
    episodes = [text for text in run.log_path.read_text().splitlines() if text.startswith("[EP")]
    assert [text[:9] for text in episodes] == ["[EP 0001]", "[EP 0002]", "[EP 0003]"]
    assert (run.path / "training.log.1").read_text() == before


def test_a_snapshot_is_there_once_it_is_committed(run: RunDirectory) -> None:
    writer, folder = DirectoryWriter(run), SnapshotFolder(run.path)
    given_up, kept = snapshot_name(3), snapshot_name(3)
    writer.begin_snapshot(given_up)
    writer.add_snapshot_piece(b"given up")
    writer.begin_snapshot(kept)
    for piece in (b"one ", b"two"):
        writer.add_snapshot_piece(piece)
    assert (folder.read(given_up), folder.read(kept)) == (None, None)
    writer.commit_snapshot()
    assert (folder.read(given_up), folder.read(kept)) == (None, b"one two")
    assert [path.name for path in folder.path.iterdir()] == [kept]


def test_older_snapshots_go_and_nothing_is_written_without_one(run: RunDirectory) -> None:
    writer = DirectoryWriter(run)
    names = [snapshot_name(episode) for episode in range(1, 6)]
    for name in names:
        writer.begin_snapshot(name)
        writer.commit_snapshot()
    folder = SnapshotFolder(run.path)
    assert len(list(folder.path.iterdir())) == KEPT
    assert folder.read(names[-1]) == b""
    writer.begin_snapshot(snapshot_name(6))
    writer.discard_snapshot()
    writer.add_snapshot_piece(b"lost")
    writer.commit_snapshot()
    writer.discard_snapshot()
    assert len(list(folder.path.iterdir())) == KEPT


@pytest.mark.parametrize("name", ["../ep_0001-00000000.npz", "ep_0001.npz", "config.toml"])
def test_a_snapshot_has_a_name_of_ours(run: RunDirectory, name: str) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        DirectoryWriter(run).begin_snapshot(name)
