"""A real local training in an awkward environment, observed from outside: its sockets, folders, token and end."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from retro_gamer.backends.ray import private_ray
from retro_gamer.backends.ray.private_ray import (
    FOLDER_PREFIX,
    LOOPBACK,
    SETTINGS,
    bounded_start,
    choose_parent,
    private_folder,
    private_settings,
    why_not,
)
from retro_gamer.games.loading import sandbox
from tests.cluster import hosts
from tests.test_signals import ENDLESS, is_alive
from tests.trained_runs import make_run

PATIENCE_SECONDS = 120
"""Far more than anything here takes: it only keeps a failure from hanging."""
AGENT = "DashboardAgent"
LIST = """
import json, sys, psutil
found = []
for pid in sys.argv[1:]:
    try:
        process = psutil.Process(int(pid))
        for socket in process.net_connections("inet"):
            if socket.status in (psutil.CONN_LISTEN, psutil.CONN_NONE) and socket.laddr:
                found.append((process.name(), socket.laddr.ip.removeprefix("::ffff:"), socket.laddr.port))
    except psutil.NoSuchProcess:
        pass
print(json.dumps(found))
"""
"""Prints the open sockets of processes. It has to run on their host: the system lists sockets by host."""
CONNECT = """
import socket, sys
for port in sys.argv[2:]:
    try:
        socket.create_connection((sys.argv[1], int(port)), 5).close()
        print(port)
    except OSError:
        pass
"""
TRAIN = [sys.executable, "-m", "retro_gamer", "train"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observed:
    """What a training showed while it ran, and what was left of it afterwards."""

    sockets: frozenset[tuple[str, str, int]]
    """Process, address and port of every socket that accepts connections, and of every one for datagrams."""
    reached: dict[str, list[str]]
    """By address of the machine other than loopback: the ports of the training that accept a connection there."""
    tokens: frozenset[str | None]
    modes: frozenset[str | None]
    home: list[str]
    """The files in the home folder."""
    folders: dict[Path, int]
    """Ray's folder with its mode; normally there is one."""
    status: int
    shown: str
    left_folders: list[Path]
    left_processes: list[int]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """Train on a host of its own where this machine allows one, so that there is another host to connect from."""
    link = hosts.Link() if hosts.why_not() is None else None
    with contextlib.ExitStack() as stack:
        if link is not None:
            link.make()
            stack.callback(link.remove)
        yield _observe(tmp_path_factory.mktemp("private"), link)


def _observe(folder: Path, link: hosts.Link | None) -> Observed:
    run_dir, home, scratch = make_run(folder, **ENDLESS), folder / "home", folder / ("long-" * 20 + "señor")
    home.mkdir()
    (scratch / "ray").mkdir(parents=True)
    prefix = ["ip", "netns", "exec", link.near] if link else []
    unfriendly = {
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "RAY_AUTH_MODE": "disabled",
        "RAY_AUTH_TOKEN": "the token of a cluster",
        "RAY_AUTH_TOKEN_PATH": str(folder / "missing"),
        "PYTHONUNBUFFERED": "1",
    }
    training = subprocess.Popen(
        [*prefix, *TRAIN, str(run_dir), "--actors", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **unfriendly},
    )  # fmt: skip
    assert training.stdout is not None
    try:
        shown = _read_until(training, "turns/update 4")
        started = _wait_for_agent(training.pid, prefix)
        sockets = _sockets_of(started, prefix)
        # A process that shows a title of its own has written over its environment.
        untitled = [process for process in started[1:] if not process.name().startswith("ray::")]
        environments = [process.environ() for process in untitled]
        folders = {path: stat.S_IMODE(path.stat().st_mode) for path in _folders_of(started)}
        reached = _reach(sockets, link)
        in_home = [str(path) for path in home.rglob("*")]
        training.send_signal(signal.SIGINT)
        with training.stdout:
            shown += training.stdout.read()
        status = training.wait(PATIENCE_SECONDS)
    finally:
        training.kill()
    return Observed(
        sockets=sockets,
        reached=reached,
        tokens=frozenset(environment.get("RAY_AUTH_TOKEN") for environment in environments),
        modes=frozenset(environment.get("RAY_AUTH_MODE") for environment in environments),
        home=in_home,
        folders=folders,
        status=status,
        shown=shown,
        left_folders=[path for path in folders if path.exists()],
        left_processes=[process.pid for process in started if is_alive(process.pid)],
    )


def _read_until(training: subprocess.Popen[str], words: str) -> str:
    assert training.stdout is not None
    shown = ""
    while words not in shown:
        line = training.stdout.readline()
        assert line, f"training ended early:\n{shown}"
        shown += line
    return shown


def _wait_for_agent(pid: int, prefix: list[str]) -> list[psutil.Process]:
    """Return the processes of the training, once the one that opens its sockets last has opened them."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        started = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        agents = [process for process in started if AGENT in process.name()]
        if agents and len(_sockets_of(agents, prefix)) >= 2:
            return started
        assert time.monotonic() < until, [process.name() for process in started]
        threading.Event().wait(0.5)


def _sockets_of(processes: list[psutil.Process], prefix: list[str]) -> frozenset[tuple[str, str, int]]:
    command = [*prefix, sys.executable, "-c", LIST, *(str(process.pid) for process in processes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
    return frozenset((name, address, port) for name, address, port in json.loads(done.stdout))


def _folders_of(processes: list[psutil.Process]) -> set[Path]:
    """Return the folders of our own that these processes name in their command lines."""
    words = [word for process in processes for word in process.cmdline()]
    found = {Path(part) for word in words for part in word.replace("=", " ").replace(",", " ").split()}
    return {
        parent for path in found for parent in (path, *path.parents) if parent.name.startswith(FOLDER_PREFIX)
    }  # fmt: skip


def _reach(sockets: frozenset[tuple[str, str, int]], link: hosts.Link | None) -> dict[str, list[str]]:
    ports = sorted({str(port) for _, _, port in sockets})
    if link is not None:
        command = ["ip", "netns", "exec", link.far, sys.executable, "-S", "-c", CONNECT, hosts.NEAR, *ports]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
        return {hosts.NEAR: done.stdout.split()}
    reached: dict[str, list[str]] = {}
    for addresses in psutil.net_if_addrs().values():
        for found in addresses:
            if found.family == socket.AF_INET and not found.address.startswith("127."):
                command = [sys.executable, "-S", "-c", CONNECT, found.address, *ports]
                done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
                reached[found.address] = done.stdout.split()
    return reached


def test_every_socket_of_a_local_training_is_bound_to_loopback(observed: Observed) -> None:
    names = {name for name, _, _ in observed.sockets}
    assert {"gcs_server", "raylet"} <= names, names
    assert len(observed.sockets) >= 7, sorted(observed.sockets)
    assert {address for _, address, _ in observed.sockets} <= set(LOOPBACK), sorted(observed.sockets)


def test_no_port_of_a_local_training_accepts_a_connection_at_another_address(observed: Observed) -> None:
    assert not any(observed.reached.values()), observed.reached


@pytest.mark.hosts
def test_no_port_of_a_local_training_accepts_a_connection_from_another_host(observed: Observed) -> None:
    assert observed.reached == {hosts.NEAR: []}


def test_each_run_has_its_own_token_whatever_the_environment_says(observed: Observed) -> None:
    assert len(observed.tokens) == 1
    (token,) = observed.tokens
    assert token is not None
    assert len(token) == 64
    assert token != "the token of a cluster"
    assert observed.modes == {"token"}


def test_a_local_training_writes_nothing_to_the_home_folder(observed: Observed) -> None:
    assert observed.home == []


def test_only_its_user_enters_the_folder_of_a_run_and_it_goes_with_the_run(observed: Observed) -> None:
    assert list(observed.folders.values()) == [0o700], observed.folders
    assert observed.status == 130, observed.shown
    assert observed.left_folders == []
    assert observed.left_processes == []


@pytest.mark.hosts
def test_without_loopback_training_ends_with_advice_and_leaves_no_process(tmp_path: Path) -> None:
    command = ["unshare", "-n", *TRAIN, str(make_run(tmp_path, **ENDLESS)), "--actors", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert done.returncode == 1
    assert "cannot connect to itself at 127.0.0.1" in done.stderr
    assert "--actors 0" in done.stderr
    marked = f"HOME={tmp_path}"
    assert not [p for p in Path("/proc").glob("[0-9]*") if marked in _environment_of(p).split("\0")]


def _environment_of(process: Path) -> str:
    try:
        return (process / "environ").read_text(errors="replace")
    except OSError:  # it has ended, or is not ours
        return ""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder with a short path, as the user's TMPDIR."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.delenv("RAY_TMPDIR", raising=False)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def test_the_folder_is_where_the_user_wants_temporary_files(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with private_folder() as folder:
        assert folder.parent == short
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
    monkeypatch.setenv("RAY_TMPDIR", "/var/tmp")
    assert choose_parent() == "/var/tmp"


@pytest.mark.parametrize("name", ["n" * 60, "señor", "missing"])
def test_a_place_whose_name_ray_cannot_use_is_passed_over(
    short: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(short / name))
    if name != "missing":
        (short / name).mkdir()
    assert why_not(str(short / name)) is not None
    assert choose_parent() == "/tmp"


def test_the_longest_path_that_is_accepted_fits_into_a_socket_and_one_more_byte_does_not() -> None:
    room = 107 - len(f"/{FOLDER_PREFIX}12345678/r/session_2026-01-31_12-34-56_123456_4194304/sockets/plasma_store")
    assert "longer" not in str(why_not("/" + "n" * (room - 1)))
    assert "longer" in str(why_not("/" + "n" * room))


def test_a_relative_place_is_passed_over() -> None:
    assert why_not("tmp") == "not an absolute path"


def test_a_place_where_other_users_can_replace_the_folder_is_passed_over(short: Path) -> None:
    short.chmod(0o777)
    assert "other users" in str(why_not(str(short)))
    short.chmod(0o1777)
    assert why_not(str(short)) is None
    short.chmod(0o700)


def test_a_place_of_another_user_is_passed_over(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chmod(short, 0o1777)
    mine = os.stat(short)
    monkeypatch.setattr(os, "geteuid", lambda: mine.st_uid + 1)
    if mine.st_uid == 0:  # what root owns, everybody has to trust
        assert why_not(str(short)) is None
        os.chown(short, 12345, -1)
    assert why_not(str(short)) == "it belongs to another user"


def test_a_file_system_without_room_for_files_is_passed_over(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.statvfs(short)

    def statvfs(path: bytes) -> os.statvfs_result:
        full = path == os.fsencode(short)
        return os.statvfs_result([*found[:5], 1000, 10, 10 if full else 900, *found[8:10]])

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert why_not(str(short)) == "its file system has no room for more files"
    assert choose_parent() == "/tmp"


def test_without_any_place_the_error_gives_the_reason_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/there/is/none")
    monkeypatch.setattr(private_ray, "why_not", lambda parent: f"no {parent}")
    with pytest.raises(OSError, match=r"no /there/is/none.*no /tmp.*Set TMPDIR"), private_folder():
        pass


def test_folders_of_killed_trainings_are_removed_and_no_others(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_YOUNGEST_REMOVED_SECONDS", -1)
    left, other = short / f"{FOLDER_PREFIX}left", short / "retro-rayless"
    left.mkdir()
    other.mkdir()
    with private_folder() as used:
        assert not left.exists()
        with private_folder():
            assert used.exists()
    assert other.exists()


@pytest.mark.parametrize(
    "before", [{}, {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "x", "RAY_AUTH_TOKEN_PATH": "y"}]
)
def test_the_environment_is_as_before_afterwards(before: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SETTINGS, "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    read: list[str | None] = []  # a Ray of other tests runs in this process and must not read them
    monkeypatch.setattr(private_ray, "_refresh", lambda: read.append(os.environ.get("RAY_AUTH_TOKEN")))
    whole = dict(os.environ)
    tokens = set()
    for _ in range(2):
        with private_settings():
            tokens.add(os.environ["RAY_AUTH_TOKEN"])
            assert os.environ["RAY_AUTH_MODE"] == "token"
            assert "RAY_AUTH_TOKEN_PATH" not in os.environ
        assert dict(os.environ) == whole
    assert len(tokens) == 2
    assert read[1::2] == [before.get("RAY_AUTH_TOKEN")] * 2
    assert set(read[::2]) == tokens


BLOCKED = """
import ctypes, os, sys
from pathlib import Path
from retro_gamer.backends.ray import private_ray
from retro_gamer.training.loop.end_conditions import StopRequest

private_ray._GRACE_SECONDS = 0.1
mutex = ctypes.create_string_buffer(256)
lock = ctypes.CDLL(None).pthread_mutex_lock
with StopRequest(), private_ray.bounded_start(float(sys.argv[1]), Path(sys.argv[2])):
    lock(mutex)
    print(hex(ctypes.addressof(mutex)), flush=True)
    lock(mutex)  # for ever, in C: no Python handler runs any more
"""


@pytest.fixture
def blocked(tmp_path: Path) -> Iterator[Any]:
    """Start a process that waits in C for ever, as Ray's start can."""
    (tmp_path / "folder").mkdir()
    started: list[subprocess.Popen[str]] = []

    def start(seconds: float) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", "__file__ = 'a program'\n" + BLOCKED, str(seconds), str(tmp_path / "folder")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address
        until = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and address not in Path(f"/proc/{process.pid}/syscall").read_text():
            assert time.monotonic() < until
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_second_ctrl_c_ends_a_start_that_is_blocked_in_c(blocked: Any, tmp_path: Path) -> None:
    process = blocked(10_000)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)  # two of the same kind may arrive as one
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode in (130, 143), errors
    assert "Interrupted." in errors
    assert not (tmp_path / "folder").exists()


def test_a_start_that_is_blocked_in_c_ends_after_its_time(blocked: Any, tmp_path: Path) -> None:
    process = blocked(0.1)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert "Error: Ray did not start: it did not answer within 0.1 seconds" in errors
    assert not (tmp_path / "folder").exists()


def test_handlers_of_signals_are_restored() -> None:
    before = signal.getsignal(signal.SIGALRM), signal.set_wakeup_fd(-1)
    with bounded_start(100, None):
        pass
    assert (signal.getsignal(signal.SIGALRM), signal.set_wakeup_fd(before[1])) == before


def test_outside_the_main_thread_nothing_is_bounded() -> None:
    done = threading.Event()

    def start() -> None:
        with bounded_start(0.0, None):
            done.set()

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert done.is_set()
