from __future__ import annotations

import os
from pathlib import Path

import pytest

from retro_gamer.run.snapshots import KEPT, SnapshotFolder, snapshot_name


def keep(folder: SnapshotFolder, name: str, content: bytes = b"x") -> None:
    file = folder.begin(name)
    file.write(content)
    file.commit()


def test_a_snapshot_is_only_there_once_it_is_whole(tmp_path: Path) -> None:
    folder, name = SnapshotFolder(tmp_path), snapshot_name(7)
    file = folder.begin(name)
    file.write(b"some")
    assert folder.read(name) is None
    file.write(b"thing")
    file.commit()
    assert folder.read(name) == b"something"
    assert os.listdir(folder.path) == [name]


def test_no_name_comes_twice() -> None:
    assert len({snapshot_name(3) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("name", ["../../secret.npz", "/etc/passwd", "ep_0001-0123abcd.npz/x", "ep_1-0123abcd.npz", ""])
def test_a_name_out_of_a_checkpoint_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    (tmp_path.parent / "secret.npz").write_bytes(b"secret")
    folder = SnapshotFolder(tmp_path / "run")
    assert folder.read(name) is None
    with pytest.raises(ValueError):
        folder.begin(name)


def test_the_newest_stay_and_what_was_interrupted_goes(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    names = [snapshot_name(number) for number in range(5)]
    for number, name in enumerate(names):
        keep(folder, name)
        os.utime(folder.path / name, (number, number))
    interrupted = folder.begin(snapshot_name(9))
    (folder.path / "notes.txt").write_text("not ours")
    folder.prune(names[0])
    assert sorted(os.listdir(folder.path)) == sorted([names[0], *names[6 - KEPT :], "notes.txt"])
    interrupted.discard()


def test_of_several_to_be_kept_none_goes(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    names = [snapshot_name(number) for number in range(5)]
    for number, name in enumerate(names):
        keep(folder, name)
        os.utime(folder.path / name, (number, number))
    folder.prune(names[0], names[1], names[2], "ep_0009-0123abcd.npz")
    assert sorted(os.listdir(folder.path)) == names[:3]
    folder.prune("ep_0009-0123abcd.npz")  # which is not here
    assert sorted(os.listdir(folder.path)) == names[1:3]


def test_a_snapshot_given_up_leaves_nothing(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    file = folder.begin(snapshot_name(1))
    file.write(b"some")
    file.discard()
    assert os.listdir(folder.path) == []
