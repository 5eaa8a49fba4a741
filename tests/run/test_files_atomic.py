from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retro_gamer.run.directory import list_files
from retro_gamer.run.files import first_free, write_atomic
from tests.full_disk import no_room_beyond


def test_it_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for data in (b"first", b"", b"\x00\xff" * 5000):
        write_atomic(path, data)
        assert path.read_bytes() == data
        assert os.listdir(tmp_path) == ["a.bin"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "final.pt"
    write_atomic(path, b"old")
    with no_room_beyond(4096), pytest.raises(OSError, match="too large"):
        write_atomic(path, b"n" * 4097)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["final.pt"]
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "final.pt"
    write_atomic(path, b"old")

    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["final.pt"]


def test_file_and_directory_are_synced_around_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        done.append(Path(f"/proc/self/fd/{descriptor}").resolve().name.partition("-")[0])
        fsync(descriptor)

    def note_replace(old: Path, new: Path) -> None:
        done.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    (tmp_path / "folder").mkdir()
    write_atomic(tmp_path / "folder" / "a", b"data")
    assert done == [".tmp", "rename", "folder"]


_WRITER = """
import itertools, sys
from pathlib import Path
from retro_gamer.run.files import write_atomic
for i in itertools.count():
    write_atomic(Path(sys.argv[1]), bytes([i % 256]) * 300_000)
    if i == 3:
        print("going", flush=True)
"""


def test_a_killed_writer_leaves_a_whole_file_and_no_checkpoint_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "ep_0100.pt"
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"going\n"
        writer.kill()
        writer.wait()
        writer.stdout.close()
        data = path.read_bytes()
        assert len(data) == 300_000
        assert len(set(data)) == 1
    assert [file.name for file in list_files(tmp_path)] == ["ep_0100"]


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    write_atomic(path, b"data")
    assert path.read_bytes() == b"data"


def test_the_first_free_number_is_taken(tmp_path: Path) -> None:
    assert first_free(tmp_path, "log.").name == "log.1"
    (tmp_path / "log.1").touch()
    (tmp_path / "log.3").touch()
    assert first_free(tmp_path, "log.").name == "log.2"
    (tmp_path / "log.2").symlink_to(tmp_path / "nowhere")
    assert first_free(tmp_path, "log.").name == "log.4"
