"""Where a run that is trained elsewhere is read from: the cluster's own connection, or a storage."""

from __future__ import annotations

from typing import Protocol

from retro_gamer.errors import ClusterError
from retro_gamer.jobs.client import JobServer, UnreachableError
from retro_gamer.run.mirror import Storage

FOLDER = "retro-gamer"
"""Below the logs of the node that a job's entry point runs on; Ray serves what lies there over HTTP."""


class RunSource(Protocol):
    """Reads files of one run."""

    def read(self, name: str) -> bytes | None:
        """Return the file's content, None if it is not there.

        Raises:
            UnreachableError: if that could not be found out.
        """


class ClusterSource:
    """Reads over the cluster's dashboard, as long as the cluster's session lives."""

    def __init__(self, server: JobServer, submission_id: str) -> None:
        self._server = server
        self._submission_id = submission_id
        self._node_id: str | None = None

    def read(self, name: str) -> bytes | None:
        """Read the file from the node the job began on."""
        if self._node_id is None:
            self._node_id = self._server.info(self._submission_id).node_id
        if self._node_id is None:
            return None
        return self._server.read_log_file(self._node_id, f"{FOLDER}/{self._submission_id}/{name}")


class StorageSource:
    """Reads from the storage a job mirrors to."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def read(self, name: str) -> bytes | None:
        """Read the file."""
        try:
            return self._storage.read(name)
        except ClusterError as error:
            raise UnreachableError(str(error)) from error
