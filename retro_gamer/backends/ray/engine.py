"""Starting Ray on this machine, and leaving nothing of it behind."""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
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
"""Told that this is its address, Ray listens to no other machine."""
DEFAULT_TEMPORARY = Path("/tmp/ray")


class LocalRay:
    """A Ray of our own on this machine while it is entered; one that already runs in this process is used instead.

    A bare `ray.init()` would join whatever cluster it finds. No dashboard is opened and no usage statistics are sent.
    """

    def __init__(self, n_cpus: int) -> None:
        self._n_cpus = n_cpus
        self._is_ours = False
        self._scratch: list[str] = []

    def __enter__(self) -> LocalRay:
        if ray.is_initialized():
            return self
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        if TOKEN_VARIABLES.isdisjoint(os.environ) and not _is_writable(Path.home()):
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # Ray would keep one of its own in the home folder
        temporary = self._choose_temporary()
        try:
            with self._neutral_directory(), _importable_package(), same_handler_of_sigterm(), _deadline(START_SECONDS):
                ray.init(
                    address="local",
                    num_cpus=self._n_cpus,
                    include_dashboard=False,
                    _node_ip_address=THIS_MACHINE_ONLY,
                    object_store_memory=OBJECT_STORE_BYTES,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=temporary,
                )
        except (ConnectionError, OSError, RuntimeError, TimeoutError, ValueError) as error:
            ray.shutdown()
            self._remove_scratch()
            raise EngineError(
                f"Ray could not be started on this machine: {printable(str(error))}\n"
                "Train without it in one process: add --actors 0."
            ) from error
        self._is_ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours:
            ray.shutdown()
            self._is_ours = False
        self._remove_scratch()

    def _choose_temporary(self) -> str | None:
        """Return a private folder where Ray's usual one belongs to somebody else, None where the usual one serves."""
        if not DEFAULT_TEMPORARY.exists() or os.access(DEFAULT_TEMPORARY, os.W_OK | os.X_OK):
            return None
        # Sockets live below it, and their paths may be no longer than 107 bytes.
        return self._make_scratch(f"ray-{getpass.getuser()[:8]}-", "/tmp")

    def _make_scratch(self, prefix: str, parent: str | None = None) -> str:
        self._scratch.append(tempfile.mkdtemp(prefix=prefix, dir=parent))
        return self._scratch[-1]

    def _remove_scratch(self) -> None:
        for folder in self._scratch:
            shutil.rmtree(folder, ignore_errors=True)
        self._scratch = []

    @contextlib.contextmanager
    def _neutral_directory(self) -> Iterator[None]:
        """Stand in an empty folder: Ray puts the working directory on its workers' import path.

        There a student's `random.py` would be imported by our own processes. The folder stays as long as Ray does,
        because the workers stand in it: without a working directory the math library ends the process.
        """
        if "__main__" in sys.modules and not hasattr(sys.modules["__main__"], "__file__"):
            yield  # A notebook or an interactive session: its folder is where its modules are.
            return
        before = os.getcwd()
        os.chdir(self._make_scratch(NEUTRAL_PREFIX))
        try:
            yield
        finally:
            os.chdir(before)


def _is_writable(home: Path) -> bool:
    folder = home / ".ray" if (home / ".ray").exists() else home
    return folder.is_dir() and os.access(folder, os.W_OK)


@contextlib.contextmanager
def _importable_package() -> Iterator[None]:
    """Let the workers import this package where it is run from a checkout and not installed."""
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
    """Raise TimeoutError if what is within takes longer. Outside the main thread nothing can be raised."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it did not answer within {seconds:g} seconds; another try may find the machine less busy")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def same_handler_of_sigterm() -> Iterator[None]:
    """Put back what SIGTERM did before: Ray replaces it by one that exits at once, without a checkpoint."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


AUTO = "auto"
CONNECT_SECONDS = 10.0
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")


class JoinedRay:
    """A connection to the cluster at `address` while it is entered: ``auto`` or ``HOST:PORT``.

    `runtime_env` is what Ray prepares on every node for our processes. A connection that is there already is used.
    """

    def __init__(self, address: str, runtime_env: Mapping[str, Any] | None = None) -> None:
        self._address = address
        self._runtime_env = runtime_env
        self._is_ours = False

    def __enter__(self) -> JoinedRay:
        """Connect.

        Raises:
            UsageError: for an address of another form.
            ClusterError: if nothing answers there, the token is refused, or versions differ.
        """
        if ray.is_initialized():
            return self
        _check_reachable(self._address)
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            with same_handler_of_sigterm():
                ray.init(
                    address=self._address,
                    runtime_env=dict(self._runtime_env) if self._runtime_env is not None else None,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (RayError, ConnectionError, OSError, RuntimeError, TimeoutError, ValueError) as error:
            raise explain(error, self._address) from error
        self._is_ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours:
            ray.shutdown()
            self._is_ours = False


def explain(error: Exception, address: str) -> ClusterError:
    """Return what a failure to connect means, in a message that names no secret."""
    text = str(error)
    refused = isinstance(error, AuthenticationError) or re.search(r"(?i)unauthenticated|auth(entication)? token", text)
    # Ray says no more than that it could not connect; but something listens there, as we have seen.
    if refused or (isinstance(error, ConnectionError) and address != AUTO):
        return ClusterError(
            f"what answers at {address} did not accept us: it asks for another token, or is no head of a Ray cluster. "
            "Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the file that holds the cluster's token (or put it "
            "into ~/.ray/auth_token)."
        )
    if "ersion mismatch" in text:
        return ClusterError(f"the cluster at {address} runs other versions. {_versions_in(text)}")
    if isinstance(error, RuntimeEnvSetupError):
        return ClusterError(f"the nodes could not unpack what they were sent: {printable(text.strip()[:500])}")
    if isinstance(error, ConnectionError):
        return ClusterError(
            "this machine belongs to no Ray cluster that runs. Start one with 'ray start --head', or give the address "
            "of its head as --address HOST:6379."
        )
    return ClusterError(f"the cluster at {address} could not be joined: {printable(text.strip()[:500])}")


def _versions_in(text: str) -> str:
    found = re.findall(r"(Ray|Python): ?([\w.+]+)", text)
    if len(found) < 4:
        return printable(text.strip()[:300])
    there, here = (", ".join(f"{name} {version}" for name, version in found[i : i + 2]) for i in (0, 2))
    return f"There: {there}. Here: {here}. Install the same Ray and Python on both sides, or use 'retro-gamer submit'."


def _check_reachable(address: str) -> None:
    """Knock before Ray does, which would try for a minute."""
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
            f"nothing answers at {address} ({error.strerror or error}). Is it the address of the cluster's head, and "
            "may this machine reach it?"
        ) from error


def logs_folder() -> Path:
    """Return where this node's Ray keeps its logs, which its dashboard serves."""
    node: Any = ray._private.worker._global_node
    return Path(node.get_logs_dir_path())
