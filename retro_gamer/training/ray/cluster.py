"""Joining a Ray cluster that runs already, and leaving it as it was."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RayError, RuntimeEnvSetupError

from retro_gamer.backends.ray.engine import same_handler_of_sigterm
from retro_gamer.errors import ClusterError, UsageError, printable

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
