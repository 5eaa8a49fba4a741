"""Connecting to Ray: one of our own on this machine, or a cluster."""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import re
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RayError, RuntimeEnvSetupError

import retro_gamer
from retro_gamer.errors import ClusterError, EngineError, UsageError, printable
from retro_gamer.games.loading.sandbox import NEUTRAL_PREFIX

OBJECT_STORE_BYTES = 256 * 1024 * 1024
START_SECONDS = 120.0
TOKEN_VARIABLES = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
THIS_MACHINE_ONLY = "127.0.0.1"
"""With this as its address, Ray accepts connections from this machine only."""
DEFAULT_TEMPORARY = Path("/tmp/ray")
AUTO = "auto"
CONNECT_SECONDS = 10.0
CONNECTION_ERRORS = (RayError, ConnectionError, OSError, RuntimeError, TimeoutError, ValueError)
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")


@contextlib.contextmanager
def start_local_ray(n_cpus: int) -> Iterator[None]:
    """Run a Ray of our own on this machine until the end of the block. One that this process already uses is kept.

    A bare `ray.init()` would join any cluster it finds. No dashboard is opened and no usage statistics are sent.

    Raises:
        EngineError: if Ray does not start.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if TOKEN_VARIABLES.isdisjoint(os.environ) and not _is_writable(Path.home()):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # Ray would write its own to the home folder
    with contextlib.ExitStack() as folders:
        try:
            temporary = _choose_temporary(folders)
            with _neutral_directory(folders), _importable_package(), _deadline(START_SECONDS):
                _connect(
                    address="local",
                    num_cpus=n_cpus,
                    include_dashboard=False,
                    _node_ip_address=THIS_MACHINE_ONLY,
                    object_store_memory=OBJECT_STORE_BYTES,
                    _temp_dir=temporary,
                )
        except CONNECTION_ERRORS as error:
            ray.shutdown()
            raise EngineError(
                f"Ray did not start on this machine: {printable(str(error))}\n"
                "Train in one process without it: add --actors 0."
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def join_ray(address: str, runtime_env: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Connect to the cluster at `address` (``auto`` or ``HOST:PORT``) until the end of the block.

    `runtime_env` is what Ray prepares on every node for our processes. An existing connection is kept.

    Raises:
        UsageError: for an address of another form.
        ClusterError: if nothing answers there, the token is refused, or versions differ.
    """
    if ray.is_initialized():
        yield
        return
    _check_reachable(address)
    try:
        _connect(address=address, runtime_env=dict(runtime_env) if runtime_env is not None else None)
    except CONNECTION_ERRORS as error:
        raise explain(error, address) from error
    try:
        yield
    finally:
        ray.shutdown()


def _connect(**options: Any) -> None:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with _keep_sigterm_handler():
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)


def _choose_temporary(folders: contextlib.ExitStack) -> str | None:
    """Return a private folder if Ray's default one belongs to another user, else None."""
    if not DEFAULT_TEMPORARY.exists() or os.access(DEFAULT_TEMPORARY, os.W_OK | os.X_OK):
        return None
    # Ray creates sockets in it, and their paths may have at most 107 bytes.
    return _make_folder(folders, f"ray-{getpass.getuser()[:8]}-", "/tmp")


def _make_folder(folders: contextlib.ExitStack, prefix: str, parent: str | None = None) -> str:
    folder = tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
    return folders.enter_context(folder)


@contextlib.contextmanager
def _neutral_directory(folders: contextlib.ExitStack) -> Iterator[None]:
    """Change to an empty folder: Ray puts the working directory on its workers' import path.

    Otherwise our own processes would import a student's `random.py`. The folder lives as long as Ray: it is the working
    directory of the workers, and without one the math library ends the process.
    """
    if "__main__" in sys.modules and not hasattr(sys.modules["__main__"], "__file__"):
        yield  # in a notebook or an interactive session the user's modules are in this folder
        return
    before = os.getcwd()
    os.chdir(_make_folder(folders, NEUTRAL_PREFIX))
    try:
        yield
    finally:
        os.chdir(before)


def _is_writable(home: Path) -> bool:
    folder = home / ".ray" if (home / ".ray").exists() else home
    return folder.is_dir() and os.access(folder, os.W_OK)


@contextlib.contextmanager
def _importable_package() -> Iterator[None]:
    """Let the workers import this package when it runs from a checkout and is not installed."""
    root = str(Path(retro_gamer.__file__).parent.parent)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [before, root]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise TimeoutError if the block takes longer. Outside the main thread there is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it did not answer within {seconds:g} seconds; the machine may be busy, so try again")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _keep_sigterm_handler() -> Iterator[None]:
    """Restore the handler of SIGTERM: Ray's own exits at once, without a checkpoint."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


def explain(error: Exception, address: str) -> ClusterError:
    """Return the error for a failed connection. Its message names no secret."""
    text = str(error)
    refused = isinstance(error, AuthenticationError) or re.search(r"(?i)unauthenticated|auth(entication)? token", text)
    # Ray only reports that it could not connect, but `_check_reachable` has reached a server there.
    if refused or (isinstance(error, ConnectionError) and address != AUTO):
        return ClusterError(
            f"{address} refused the connection: it expects another token, or is not the head of a Ray cluster. Set "
            "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the file with the cluster's token (or copy the file to "
            "~/.ray/auth_token)."
        )
    if "ersion mismatch" in text:
        return ClusterError(f"the cluster at {address} runs other versions. {_versions_in(text)}")
    if isinstance(error, RuntimeEnvSetupError):
        return ClusterError(f"the nodes could not unpack the package: {printable(text.strip()[:500])}")
    if isinstance(error, ConnectionError):
        return ClusterError(
            "no Ray cluster runs on this machine. Start one with 'ray start --head', or name a cluster's head with "
            "--address HOST:6379."
        )
    return ClusterError(f"the cluster at {address} could not be joined: {printable(text.strip()[:500])}")


def _versions_in(text: str) -> str:
    found = re.findall(r"(Ray|Python): ?([\w.+]+)", text)
    if len(found) < 4:
        return printable(text.strip()[:300])
    there, here = (", ".join(f"{name} {version}" for name, version in found[i : i + 2]) for i in (0, 2))
    return f"There: {there}. Here: {here}. Install the same Ray and Python on both sides, or use 'retro-gamer submit'."


def _check_reachable(address: str) -> None:
    """Try to connect first: Ray would try for a minute."""
    if address == AUTO:
        return
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 2**16:
        raise UsageError(f"--address {printable(address)}: must be auto or HOST:PORT, such as --address 10.0.0.5:6379")
    try:
        with socket.create_connection((found["host"].strip("[]"), int(found["port"])), CONNECT_SECONDS):
            pass
    except OSError as error:
        raise ClusterError(
            f"nothing answers at {address} ({error.strerror or error}). Check that it is the address of the cluster's "
            "head and that no firewall blocks it."
        ) from error


def logs_folder() -> Path:
    """Return the folder of this node's Ray logs, which the dashboard serves."""
    node: Any = ray._private.worker._global_node
    return Path(node.get_logs_dir_path())
