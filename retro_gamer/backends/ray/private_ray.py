"""What keeps a local Ray private and its start bounded: settings, a folder, a check of loopback, and a watchdog."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray._private import ray_constants

from retro_gamer.errors import EngineError, printable
from retro_gamer.games.loading.sandbox import NEUTRAL_PREFIX, make_locked_folder

LOOPBACK = ("127.0.0.1", "::1")
SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on every system: Ray's own address is the loopback address
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray opens pages of metrics that need no token. It cannot listen on such ports, logs that, and does without.
    "DASHBOARD_METRIC_PORT": "-1",
    "AUTOSCALER_METRIC_PORT": "-1",
}
TOKEN = "RAY_AUTH_TOKEN"
TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"
FOLDER_PREFIX = "retro-ray-"
_LONGEST_SOCKET = {"darwin": 103}.get(sys.platform, 107)
"""Bytes of the longest path that a Unix socket may have."""
_BELOW_PARENT = len(f"/{FOLDER_PREFIX}12345678/r/session_2026-01-31_12-34-56_123456_1234567/sockets/plasma_store")
_FEWEST_INODES = 500
_KNOCK_SECONDS = 5.0
_GRACE_SECONDS = 5.0
"""What Python gets for an orderly end before the watchdog ends the process."""
_DONE = 0


class StartTimeoutError(BaseException):
    """Ray did not start in time. Ray's own code swallows every Exception, so this is none."""


@contextlib.contextmanager
def private_settings() -> Iterator[None]:
    """Set what Ray reads from the environment until the end of the block, with a token that nobody else knows.

    Ray's processes inherit the token by their environment, so nothing is written to the home folder. Afterwards the
    environment is as before, for a cluster that the same process may join.
    """
    before = {name: os.environ.get(name) for name in (*SETTINGS, TOKEN, TOKEN_PATH)}
    is_cluster_enabled = ray_constants.ENABLE_RAY_CLUSTER
    os.environ.update(SETTINGS, RAY_AUTH_TOKEN=secrets.token_hex(32))
    os.environ.pop(TOKEN_PATH, None)
    ray_constants.ENABLE_RAY_CLUSTER = False  # Ray read its variable when it was imported
    try:
        _refresh()
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = is_cluster_enabled
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _refresh()


def _refresh() -> None:
    """Let Ray read the mode and the token again: it caches both."""
    raylet: Any = ray._raylet
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder for everything that Ray writes until the end of the block. Only this user can enter it.

    Raises:
        OSError: if there is no place for it.
    """
    folder = make_locked_folder(FOLDER_PREFIX, choose_parent())
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def choose_parent() -> str:
    """Return where Ray's folder goes: where the user or Ray would have it, if that can be, else a usual place.

    Raises:
        OSError: if no place will do; it gives the reason for each.
    """
    named = [os.environ[name] for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)]
    reasons = {parent: why_not(parent) for parent in (*named, "/tmp", "/var/tmp", "/dev/shm")}
    for parent, reason in reasons.items():
        if reason is None:
            return parent
    listed = "; ".join(f"{parent}: {reason}" for parent, reason in reasons.items())
    raise OSError(f"there is no place for its folder ({listed}). Set TMPDIR to a folder of yours with a short path")


def why_not(parent: str) -> str | None:
    """Return why Ray's folder cannot be in `parent`, None if it can."""
    path = os.fsencode(parent)
    if not os.path.isabs(path):
        return "not an absolute path"
    if not path.isascii():
        return "Ray needs a path in ASCII"
    if len(path) > _LONGEST_SOCKET - _BELOW_PARENT:
        return f"longer than {_LONGEST_SOCKET - _BELOW_PARENT} bytes, so that its sockets would have no valid path"
    try:
        status, system = os.stat(path), os.statvfs(path)
    except OSError as error:
        return error.strerror or type(error).__name__
    if status.st_uid not in (0, os.geteuid()):
        return "it belongs to another user"
    if status.st_mode & 0o022 and not status.st_mode & 0o1000:
        return "other users may rename what is in it"
    if not os.access(path, os.W_OK | os.X_OK):
        return "it cannot be written"
    if system.f_files and system.f_favail < _FEWEST_INODES:
        return "its file system has no room for more files"
    return None


@contextlib.contextmanager
def neutral_directory(parent: Path) -> Iterator[None]:
    """Change to an empty folder in `parent`: Ray puts the working directory on its workers' import path.

    Otherwise our own processes would import a student's `random.py`. The folder lives as long as Ray: it is the working
    directory of the workers, and without one the math library ends the process.
    """
    if is_interactive():
        yield  # the user's modules are in the working directory
        return
    folder = parent / f"{NEUTRAL_PREFIX}folder"
    folder.mkdir(mode=0o700)
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def is_interactive() -> bool:
    """Return whether this is a notebook or an interactive session."""
    return "__main__" in sys.modules and not hasattr(sys.modules["__main__"], "__file__")


def check_loopback() -> None:
    """Connect to ourselves.

    Raises:
        OSError: if that fails. Ray would try for a quarter of an hour, and nothing could interrupt it.
    """
    try:
        with (
            socket.create_server((LOOPBACK[0], 0)) as server,
            socket.create_connection(server.getsockname(), _KNOCK_SECONDS),
        ):
            pass
    except OSError as error:
        raise OSError(
            f"this machine cannot connect to itself at {LOOPBACK[0]} ({error.strerror or error}). Turn its loopback "
            "interface on: ip link set lo up"
        ) from error


@contextlib.contextmanager
def bounded_start(seconds: float, folder: Path | None) -> Iterator[None]:
    """Give up the block, a start of Ray, after `seconds`, or at the second SIGINT or SIGTERM.

    Python can interrupt Ray's Python code but not its C++ code. If the block then does not end within some seconds, a
    thread removes `folder` and ends this process, and Ray's processes end with it. In a notebook that would lose the
    user's values, so there only Python interrupts. Outside the main thread there is no limit.

    Raises:
        StartTimeoutError: after `seconds`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _alarm(seconds), contextlib.nullcontext() if is_interactive() else _watchdog(seconds, folder):
        yield


def _make_timeout(seconds: float) -> StartTimeoutError:
    return StartTimeoutError(f"it did not answer within {seconds:g} seconds; the machine may be busy, so try again")


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def give_up(number: int, frame: FrameType | None) -> None:
        raise _make_timeout(seconds)

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _watchdog(seconds: float, folder: Path | None) -> Iterator[None]:
    """Run a thread that sees each signal when it arrives, while Python handles it only between its own instructions."""
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    before = signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    watching = threading.Thread(target=_watch, args=(receiver, seconds, folder), name="watchdog of Ray's start")
    watching.daemon = True
    watching.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(sender, bytes([_DONE]))
        watching.join()
        os.close(sender)
        os.close(receiver)


def _watch(receiver: int, seconds: float, folder: Path | None) -> None:
    ends_at = time.monotonic() + seconds + _GRACE_SECONDS
    message, status = f"Ray did not start: {_make_timeout(seconds)}", EngineError.exit_code
    stops = 0
    while select.select([receiver], [], [], max(0.0, ends_at - time.monotonic()))[0]:
        for number in os.read(receiver, 64):
            if number == _DONE:
                return
            if number in (signal.SIGINT, signal.SIGTERM):
                stops += 1
                message, status = "Interrupted.", 128 + number
        if stops > 1:
            ends_at = min(ends_at, time.monotonic() + (_GRACE_SECONDS if stops == 2 else 0))
    _end_process(message, status, folder)


def _end_process(message: str, status: int, folder: Path | None) -> None:
    with contextlib.suppress(OSError):  # nobody reads it
        os.write(2, f"Error: {printable(message)}\n".encode())
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(status)
