"""The job server of a Ray cluster over HTTP: what `submit` and `attach` need of it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from retro_gamer.errors import ClusterError, UsageError, printable
from retro_gamer.jobs.preflight import LOWEST_PYTHON


def find_token() -> str | None:
    """Return the token of RAY_AUTH_TOKEN, of the file RAY_AUTH_TOKEN_PATH or of ~/.ray/auth_token, None without one.

    Raises:
        UsageError: if a file that is named cannot be read.
    """
    token = os.environ.get("RAY_AUTH_TOKEN", "").strip()
    if token:
        return token
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        if named:
            raise UsageError(printable(f"RAY_AUTH_TOKEN_PATH names {named}, which does not exist")) from None
        return None
    except OSError as error:
        raise UsageError(printable(f"the token in {path} cannot be read: {error.strerror}")) from error


SECONDS = 30.0
UPLOAD_SECONDS = 600.0
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
LOWEST_RAY = (2, 52)


class UnreachableError(ClusterError):
    """The job server did not answer: it, or the way to it, may be back later."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobInfo:
    """What the job server says of a job."""

    status: str
    """PENDING, RUNNING or one of `ENDED`."""
    message: str
    node_id: str | None
    """The node its entry point runs on, None before it does."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ENDED


class JobServer:
    """A cluster's job server at an address such as ``http://10.0.0.5:8265``."""

    def __init__(self, address: str) -> None:
        """Remember the address and the token, if there is one.

        Raises:
            UsageError: if it is no such address.
        """
        text = address if "://" in address else f"http://{address}"
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise UsageError(
                f"--address {printable(parts._replace(netloc=parts.hostname or '', query='').geturl())}: must be that "
                "of the cluster's dashboard, such as http://10.0.0.5:8265"
            )
        self.address = f"{parts.scheme}://{parts.netloc}"
        self._token = find_token()

    def version(self) -> str:
        """Return the version of Ray the cluster runs.

        Raises:
            ClusterError: if there is no job server, it does not let us in, or its Ray is too old.
        """
        try:
            version = str(self._ask("GET", "/api/version").json()["ray_version"])
        except (ValueError, KeyError) as error:
            raise ClusterError(f"what answers at {self.address} is no Ray dashboard") from error
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers < LOWEST_RAY:
            raise ClusterError(
                f"the cluster runs Ray {printable(version)}; retro-gamer needs "
                f"{LOWEST_RAY[0]}.{LOWEST_RAY[1]} or newer there (older ones let anybody who reaches them run code)."
            )
        return version

    def versions(self) -> str:
        """Return in words what the cluster runs.

        Raises:
            ClusterError: if that is too old, or there is no cluster that lets us in.
        """
        ray, python = self.version(), self.python_version()
        return f"Ray {printable(ray)}" + (f", Python {printable(python)}" if python else "")

    def python_version(self) -> str | None:
        """Return the version of Python the cluster runs, None where the dashboard does not tell.

        Raises:
            ClusterError: if it is too old.
        """
        response = self._ask("GET", "/api/v0/cluster_metadata", allowed=(404, 500))
        try:
            version = str(response.json()["data"]["pythonVersion"])
            numbers = tuple(int(part) for part in version.split(".")[:2])
        except (ValueError, KeyError, TypeError):
            return None
        if numbers < LOWEST_PYTHON:
            raise ClusterError(
                f"the cluster runs Python {printable(version)}; retro-gamer needs "
                f"{LOWEST_PYTHON[0]}.{LOWEST_PYTHON[1]} or newer there. Start Ray there from such an environment, or "
                "use the image of docker/."
            )
        return version

    def upload(self, name: str, data: bytes) -> str:
        """Give the cluster a package, unless it has one of that name, and return its URI."""
        path = f"/api/packages/gcs/{name}"
        if self._ask("GET", path, allowed=(404,)).status_code == 404:
            self._ask("PUT", path, data=data, seconds=UPLOAD_SECONDS)
        return f"gcs://{name}"

    def submit(
        self, submission_id: str, entrypoint: str, runtime_env: dict[str, Any], metadata: dict[str, str]
    ) -> None:
        """Start a job."""
        body = {
            "submission_id": submission_id,
            "entrypoint": entrypoint,
            "runtime_env": runtime_env,
            "metadata": metadata,
        }
        self._ask("POST", "/api/jobs/", json=body)

    def info(self, submission_id: str) -> JobInfo:
        """Return where a job stands.

        Raises:
            UnreachableError: if the job server does not answer.
            ClusterError: if it knows no such job.
        """
        response = self._ask("GET", f"/api/jobs/{submission_id}", allowed=(404,))
        if response.status_code == 404:
            raise ClusterError(f"the cluster at {self.address} knows no job {submission_id}: it was perhaps restarted.")
        found = response.json()
        return JobInfo(
            status=str(found["status"]), message=str(found.get("message") or ""), node_id=found.get("driver_node_id")
        )

    def knows(self, submission_id: str) -> bool:
        """Return whether the cluster has a job of that name."""
        return self._ask("GET", f"/api/jobs/{submission_id}", allowed=(404,)).status_code == 200

    def stop(self, submission_id: str) -> None:
        """Ask a job to stop cleanly."""
        self._ask("POST", f"/api/jobs/{submission_id}/stop")

    def log(self, submission_id: str) -> str:
        """Return what a job has printed."""
        return str(self._ask("GET", f"/api/jobs/{submission_id}/logs").json().get("logs", ""))

    def read_log_file(self, node_id: str, name: str) -> bytes | None:
        """Return a file below a node's folder of logs, None if there is none of that name."""
        asked = {"node_id": node_id, "filename": name, "lines": "-1", "timeout": "20"}
        response = self._ask("GET", "/api/v0/logs/file", params=asked, allowed=(404, 500))
        # A file that is missing is answered with an error or with nothing; none of ours is empty.
        return response.content or None if response.status_code == 200 else None

    def _ask(
        self, method: str, path: str, *, allowed: tuple[int, ...] = (), seconds: float = SECONDS, **given: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            response = requests.request(method, self.address + path, headers=headers, timeout=seconds, **given)
        except requests.RequestException as error:
            raise UnreachableError(
                f"nothing answers at {self.address} ({type(error).__name__}). Is it the address of the cluster's "
                "dashboard, and may this machine reach it? (kubectl port-forward or ssh -L make a way.)"
            ) from error
        if response.status_code in (401, 403):
            raise ClusterError(self._explain_refusal())
        if response.status_code >= 400 and response.status_code not in allowed:
            said = f"the job server at {self.address} refuses ({response.status_code}): {_said(response)}"
            raise UnreachableError(said) if response.status_code >= 500 else ClusterError(said)
        return response

    def _explain_refusal(self) -> str:
        what = "does not accept the token that was sent" if self._token else "asks for a token, and none was found"
        return (
            f"the cluster at {self.address} {what}. Put the cluster's token into ~/.ray/auth_token, or name its file: "
            "export RAY_AUTH_TOKEN_PATH=FILE"
        )


def _said(response: requests.Response) -> str:
    lines = [line for line in response.text.strip().splitlines() if line.strip()]
    return printable(lines[-1][:300]) if lines else "no reason given"
