"""Connecting to Ray: one of our own on this machine, or a cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RuntimeEnvSetupError

import retro_gamer
from retro_gamer.backends.ray.private_ray import (
    LOOPBACK,
    StartTimeoutError,
    bounded_start,
    check_loopback,
    neutral_directory,
    private_folder,
    private_settings,
)
from retro_gamer.errors import LONGEST_LINE, ClusterError, EngineError, UsageError, printable

OBJECT_STORE_BYTES = 256 * 1024 * 1024
START_SECONDS = 120.0
JOIN_SECONDS = 1800.0
AUTO = "auto"
CONNECT_SECONDS = 10.0
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")


@contextlib.contextmanager
def start_local_ray(n_cpus: int) -> Iterator[None]:
    """Run a Ray of our own on this machine until the end of the block. One that this process already uses is kept.

    A bare `ray.init()` would join any cluster it finds. This one listens on loopback only and accepts only this run's
    own token. No dashboard is opened and no usage statistics are sent.

    Raises:
        EngineError: if Ray does not start.
    """
    if ray.is_initialized():
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            _start(n_cpus, stack)
        except (Exception, SystemExit, StartTimeoutError) as error:  # what Ray raises depends on its version
            raise EngineError(
                f"Ray did not start on this machine: {_quote(error)}\nTrain in one process without it: add --actors 0."
            ) from error
        yield


def _start(n_cpus: int, stack: contextlib.ExitStack) -> None:
    """Start Ray; put on the stack what ends it and restores this process."""
    check_loopback()
    folder = stack.enter_context(private_folder())
    stack.enter_context(private_settings())
    stack.callback(ray.shutdown)
    with neutral_directory(folder), _importable_package(), bounded_start(START_SECONDS, folder):
        _connect(
            address="local",
            num_cpus=n_cpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _system_config={"enable_metrics_collection": False},
            _temp_dir=str(folder / "r"),
        )
    address = ray.util.get_node_ip_address()
    if address not in LOOPBACK:
        raise OSError(
            f"it listens on {address} instead of loopback; this version of Ray ({ray.__version__}) is unknown"
        )


def _quote(error: BaseException) -> str:
    text = printable(str(error).strip()[:LONGEST_LINE])
    return text or type(error).__name__


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
    with contextlib.ExitStack() as stack:
        stack.callback(ray.shutdown)
        try:
            with bounded_start(JOIN_SECONDS, None):
                _connect(address=address, runtime_env=dict(runtime_env) if runtime_env is not None else None)
        except (Exception, SystemExit, StartTimeoutError) as error:  # what Ray raises depends on its version
            raise explain(error, address) from error
        yield


def _connect(**options: Any) -> None:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with _keep_sigterm_handler():
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)


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
def _keep_sigterm_handler() -> Iterator[None]:
    """Restore the handler of SIGTERM: Ray's own exits at once, without a checkpoint."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


def explain(error: BaseException, address: str) -> ClusterError:
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
