"""A client for the job server of a Ray cluster, over HTTP."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from retro_gamer.errors import ClusterError, UsageError, printable
from retro_gamer.jobs.preflight import LOWEST_PYTHON

TIMEOUT_SECONDS = 30.0
UPLOAD_SECONDS = 600.0
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
LOWEST_RAY = (2, 52)


class UnreachableError(ClusterError):
    """The job server did not answer; it may answer later."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobInfo:
    """The state of a job, as the job server reports it."""

    status: str
    """PENDING, RUNNING or one of `ENDED`."""
    message: str
    node_id: str | None
    """The node that its entry point runs on, or None before it starts."""

    @property
    def has_ended(self) -> bool:
        """Whether the job is over."""
        return self.status in ENDED


class JobServer:
    """The job server of a cluster, at an address such as ``http://10.0.0.5:8265``."""

    def __init__(self, address: str) -> None:
        """Check the address and look up the token.

        Raises:
            UsageError: if the address is no such URL, or the token cannot be read.
        """
        text = address if "://" in address else f"http://{address}"
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise UsageError(
                f"--address {printable(parts._replace(netloc=parts.hostname or '', query='').geturl())}: must be "
                "the URL of the cluster's dashboard, such as http://10.0.0.5:8265"
            )
        self.address = f"{parts.scheme}://{parts.netloc}"
        self._token = find_token()

    def version(self) -> str:
        """Return the cluster's version of Ray.

        Raises:
            ClusterError: if there is no job server, it denies access, or its Ray is too old.
        """
        try:
            version = str(self._request("GET", "/api/version").json()["ray_version"])
        except (ValueError, KeyError) as error:
            raise ClusterError(f"the server at {self.address} is not a Ray dashboard") from error
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers < LOWEST_RAY:
            raise ClusterError(
                f"the cluster runs Ray {printable(version)}; retro-gamer needs "
                f"{LOWEST_RAY[0]}.{LOWEST_RAY[1]} or newer (older versions let anybody who can reach them run code)."
            )
        return version

    def versions(self) -> str:
        """Return the cluster's versions of Ray and Python, as text; raises as `version` and `python_version` do."""
        ray, python = self.version(), self.python_version()
        return f"Ray {printable(ray)}" + (f", Python {printable(python)}" if python else "")

    def python_version(self) -> str | None:
        """Return the cluster's version of Python, or None if the dashboard does not report it.

        Raises:
            ClusterError: if it is too old.
        """
        response = self._request("GET", "/api/v0/cluster_metadata", allowed=(404, 500))
        try:
            version = str(response.json()["data"]["pythonVersion"])
            numbers = tuple(int(part) for part in version.split(".")[:2])
        except (ValueError, KeyError, TypeError):
            return None
        if numbers < LOWEST_PYTHON:
            raise ClusterError(
                f"the cluster runs Python {printable(version)}; retro-gamer needs "
                f"{LOWEST_PYTHON[0]}.{LOWEST_PYTHON[1]} or newer. Start Ray from such an environment, or use the image "
                "in docker/."
            )
        return version

    def upload(self, name: str, data: bytes) -> str:
        """Upload a package, unless the cluster has one with that name, and return its URI."""
        path = f"/api/packages/gcs/{name}"
        if self._request("GET", path, allowed=(404,)).status_code == 404:
            self._request("PUT", path, data=data, seconds=UPLOAD_SECONDS)
        return f"gcs://{name}"

    def submit(
        self, submission_id: str, entrypoint: str, runtime_env: dict[str, Any], metadata: dict[str, str]
    ) -> None:
        """Start a job."""
        job = {"submission_id": submission_id, "entrypoint": entrypoint}
        self._request("POST", "/api/jobs/", json={**job, "runtime_env": runtime_env, "metadata": metadata})

    def info(self, submission_id: str) -> JobInfo:
        """Return the state of a job.

        Raises:
            UnreachableError: if the job server does not answer.
            ClusterError: if it does not know the job.
        """
        response = self._request("GET", f"/api/jobs/{submission_id}", allowed=(404,))
        if response.status_code == 404:
            raise ClusterError(
                f"the cluster at {self.address} does not know the job {submission_id}: it may have been restarted."
            )
        found = response.json()
        return JobInfo(
            status=str(found["status"]), message=str(found.get("message") or ""), node_id=found.get("driver_node_id")
        )

    def knows(self, submission_id: str) -> bool:
        """Return whether the cluster has a job with that name."""
        return self._request("GET", f"/api/jobs/{submission_id}", allowed=(404,)).status_code == 200

    def stop(self, submission_id: str) -> None:
        """Ask a job to stop cleanly."""
        self._request("POST", f"/api/jobs/{submission_id}/stop")

    def read_log_file(self, node_id: str, name: str) -> bytes | None:
        """Return a file from a node's log folder, or None if it does not exist."""
        query = {"node_id": node_id, "filename": name, "lines": "-1", "timeout": "20"}
        response = self._request("GET", "/api/v0/logs/file", params=query, allowed=(404, 500))
        # For a missing file Ray returns an error or an empty response; none of our files is empty.
        return response.content or None if response.status_code == 200 else None

    def _request(
        self, method: str, path: str, *, allowed: tuple[int, ...] = (), seconds: float = TIMEOUT_SECONDS, **options: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            response = requests.request(method, self.address + path, headers=headers, timeout=seconds, **options)
        except requests.RequestException as error:
            raise UnreachableError(
                f"nothing answers at {self.address} ({type(error).__name__}). Check that this is the "
                "address of the cluster's dashboard and that this machine can reach it (kubectl port-forward and "
                "ssh -L open a way)."
            ) from error
        if response.status_code in (401, 403):
            what = "does not accept the token that was sent" if self._token else "requires a token, but none was found"
            raise ClusterError(
                f"the cluster at {self.address} {what}. Write the cluster's token to ~/.ray/auth_token, or name its "
                "file: export RAY_AUTH_TOKEN_PATH=FILE"
            )
        if response.status_code >= 400 and response.status_code not in allowed:
            message = f"the job server at {self.address} refused ({response.status_code}): {_last_line(response)}"
            raise UnreachableError(message) if response.status_code >= 500 else ClusterError(message)
        return response


def _last_line(response: requests.Response) -> str:
    lines = [line for line in response.text.strip().splitlines() if line.strip()]
    return printable(lines[-1][:300]) if lines else "no reason given"


def home_folder() -> Path | None:
    """Return the user's home folder, None if there is none: in a container a user may have neither HOME nor a name."""
    try:
        return Path.home()
    except (RuntimeError, KeyError):
        return None


def find_token() -> str | None:
    """Return the token from RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token, or None if none is set.

    Raises:
        UsageError: if its file cannot be read, or it cannot be sent.
    """
    token = os.environ.get("RAY_AUTH_TOKEN", "").strip()
    if token:
        return _check_token(token, "RAY_AUTH_TOKEN")
    path, named = _find_token_file()
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except FileNotFoundError:
        if named:
            raise UsageError(printable(f"RAY_AUTH_TOKEN_PATH names {named}, which does not exist")) from None
        return None
    except OSError as error:
        raise UsageError(printable(f"the token in {path} cannot be read: {error.strerror}")) from error
    return _check_token(token, str(path)) if token else None


def _check_token(token: str, where: str) -> str:
    """Return the token if HTTP can carry it. The error does not quote it."""
    if all(" " <= character <= "~" for character in token):
        return token
    what = "a line break" if len(token.splitlines()) > 1 else "a character that is no ASCII letter, digit or sign"
    raise UsageError(printable(f"the token in {where} contains {what}. A token is one line, as its creator printed it"))


def _find_token_file() -> tuple[Path | None, str | None]:
    """Return the file with the token, None without a home folder, and what RAY_AUTH_TOKEN_PATH says."""
    named, home = os.environ.get("RAY_AUTH_TOKEN_PATH"), home_folder()
    if named:
        return Path(named), named
    return (home / ".ray" / "auth_token" if home is not None else None), None


def protect_token_file() -> str | None:
    """Let only the user read ~/.ray/auth_token, which Ray creates for everybody; return a remark if others could.

    A file that RAY_AUTH_TOKEN_PATH names keeps its mode: a container may have to read it as another user.
    """
    if os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return None
    path, named = _find_token_file()
    if path is None:
        return None
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & 0o077:
            return None
        if not named:
            path.chmod(0o600)
            return printable(
                f"Other users of this machine could read the cluster's token in {path}. Now only you can. If there are "
                "other users, replace the token."
            )
    except OSError:  # `find_token` reports a file that cannot be read
        return None
    return printable(f"Other users of this machine can read the cluster's token: chmod 600 {path}")
