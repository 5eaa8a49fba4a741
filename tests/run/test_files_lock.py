from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from retro_gamer.errors import RunExistsError
from retro_gamer.run.files import RunLock

_HOLDER = """
import sys
from pathlib import Path
from retro_gamer.run.files import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_trainer_is_told_who_the_first_is(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    with pytest.raises(RunExistsError) as caught, RunLock(tmp_path):
        pass
    said = str(caught.value)
    assert f"process {holder.pid} on {socket.gethostname()}, since 2" in said
    assert str(tmp_path) in said
    assert caught.value.exit_code == 2


def test_a_refused_trainer_leaves_the_holder_alone(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    for _ in range(2):
        with pytest.raises(RunExistsError, match=f"process {holder.pid}"), RunLock(tmp_path):
            pass


def test_a_killed_holder_does_not_keep_the_lock(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    holder.wait()
    assert json.loads((tmp_path / ".lock").read_text())["pid"] == holder.pid
    with RunLock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_a_longer_message_of_a_dead_holder_is_overwritten_whole(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text(json.dumps({"pid": 1, "host": "h" * 500, "since": ""}))
    with RunLock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_it_can_be_taken_again_after_its_end_even_by_an_error(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    with pytest.raises(KeyError), lock:
        raise KeyError
    with lock, pytest.raises(RunExistsError, match=f"process {os.getpid()} "), RunLock(tmp_path):
        pass
    with RunLock(tmp_path):
        pass
    assert (tmp_path / ".lock").read_bytes() == b""


@pytest.mark.parametrize("content", [b"", b"no json", b"[1]", b"\xff\xfe"])
def test_a_holder_that_did_not_say_who_it_is_is_respected(tmp_path: Path, content: bytes) -> None:
    with RunLock(tmp_path):
        (tmp_path / ".lock").write_bytes(content)
        with pytest.raises(RunExistsError, match="another process"), RunLock(tmp_path):
            pass


def test_what_a_lock_file_says_does_not_reach_the_terminal_raw(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        (tmp_path / ".lock").write_text(json.dumps({"pid": 1, "host": "\x1b[2J", "since": "\x07"}))
        with pytest.raises(RunExistsError) as caught, RunLock(tmp_path):
            pass
    assert r"\x1b[2J" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("content", "free"),
    [
        ({}, True),
        ({"pid": _dead_pid(), "host": socket.gethostname()}, True),
        ({"pid": os.getpid(), "host": socket.gethostname()}, False),
        ({"pid": 1, "host": "elsewhere"}, False),
        ({"pid": 10**30, "host": socket.gethostname()}, False),
    ],
)
def test_without_locks_in_the_file_system_what_the_file_says_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, object], free: bool
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".lock").write_text(json.dumps(content) if content else "")
    if free:
        with RunLock(tmp_path):
            assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    else:
        with pytest.raises(RunExistsError, match=r"delete .*\.lock"), RunLock(tmp_path):
            pass
        assert json.loads((tmp_path / ".lock").read_text()) == content


def test_another_error_of_the_file_system_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="Input/output"), RunLock(tmp_path):
        pass
