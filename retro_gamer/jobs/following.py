"""Being attached to a job: following it until it ends, through lost connections and requests to stop."""

from __future__ import annotations

import dataclasses
import threading
import time

from retro_gamer.errors import ClusterError, printable
from retro_gamer.jobs.client import JobInfo, JobServer, UnreachableError
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.mirror import Storage
from retro_gamer.run.status import RunStatus
from retro_gamer.training.cluster.following import Follower
from retro_gamer.training.cluster.record import JobRecord
from retro_gamer.training.cluster.sources import ClusterSource, RunSource, StorageSource
from retro_gamer.training.loop.end_conditions import StopRequest
from retro_gamer.training.loop.progress import Reporter

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 600.0
"""How long a lost connection is waited for."""
UNKNOWN_SECONDS = 60.0
"""How long a storage is looked at for news of a job that the cluster does not know."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
    """How a job ended: what the job server says (None if it is gone) and the last state of the run (None if none)."""

    info: JobInfo | None
    status: RunStatus | None

    def explain_failure(self) -> str | None:
        """Return what went wrong, None if nothing did."""
        if self.status is not None and self.status.state == "failed":
            return self.status.error or "the training failed"
        if self.status is not None and self.status.state == "ended":
            return None
        if self.info is not None and self.info.status == "STOPPED":
            return "the job was stopped before its last checkpoint was written"
        said = self.info.message.strip() if self.info is not None else ""
        found = [line for line in said.splitlines() if line.startswith("Error: ")]
        last = "\n".join(found[-1:] or said.splitlines()[-5:])
        return printable(f"the job ended without a result.\n{last.removeprefix('Error: ')}")


class Attachment:
    """One process following one job."""

    def __init__(
        self, directory: RunDirectory, record: JobRecord, server: JobServer, reporter: Reporter, stop: StopRequest,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:  # fmt: skip
        self._record = record
        self._server = server
        self._reporter = reporter
        self._stop = stop
        self._patience_seconds = patience_seconds
        self._follower = Follower(directory, record, _choose_source(record, server), reporter)
        self._status: RunStatus | None = None
        self._stop_passed_on = False
        self._lost_since: float | None = None

    def follow(self) -> Ending:
        """Follow the job until it has ended and all it left is here.

        Raises:
            ClusterError: if the cluster does not know the job, or does not answer for ten minutes. Where a storage
                holds the run, only if nothing comes into that any more, and what it has is here then.
        """
        while True:
            try:
                ending = self._look()
                if ending is not None:
                    return ending
            except UnreachableError as error:
                if self._has_lost_patience(error, self._patience_seconds):
                    raise ClusterError(
                        f"{error}\nThe job goes on. Come back to it with: retro-gamer attach RUN_DIR"
                    ) from error
            threading.Event().wait(LOOK_SECONDS)

    def _look(self) -> Ending | None:
        """Look once at the job and at its run; return how it ended, if it has."""
        try:
            info = self._server.info(self._record.submission_id)
        except ClusterError as error:
            if self._record.storage is None:
                raise
            return self._look_at_storage(error)
        self._pass_stop_on()
        self._status = self._follower.step(whole=info.has_ended) or self._status
        if info.has_ended:
            return Ending(info=info, status=self._status)
        self._note_return()
        return None

    def _look_at_storage(self, gone: ClusterError) -> Ending | None:
        """Follow the run by what comes into the storage: the cluster cannot say how the job is, for the reason `gone`.

        Raises:
            ClusterError: if nothing comes any more, or the job is to be stopped.
        """
        if self._stop.is_made:
            raise ClusterError(f"{gone}\nSo the job cannot be asked to stop, and may go on.")
        n_states = self._follower.n_states
        self._status = self._follower.step() or self._status
        if self._status is not None and self._status.state != "running":
            self._follower.step(whole=True)
            return Ending(info=None, status=self._status)
        if self._follower.n_states != n_states:
            self._lost_since = None
            return None
        patience = self._patience_seconds if isinstance(gone, UnreachableError) else UNKNOWN_SECONDS
        if self._has_lost_patience(gone, patience):
            self._follower.step(whole=True)
            raise ClusterError(
                f"{gone}\nNothing comes into {self._record.storage} any more; what it has of the run is here. If the "
                "job is gone, go on with: retro-gamer train RUN_DIR --resume latest"
            )
        return None

    def _pass_stop_on(self) -> None:
        if self._stop.is_made and not self._stop_passed_on:
            self._server.stop(self._record.submission_id)
            self._stop_passed_on = True
            self._reporter.note("Asked the job to stop; it writes a checkpoint first. Ctrl-C again leaves it to that.")

    def _has_lost_patience(self, error: ClusterError, patience_seconds: float) -> bool:
        """Return whether the cluster has been away for so long; that it is away is said at first."""
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
            self._reporter.note(f"The connection is lost ({error.args[0].splitlines()[0]}); trying again.")
        return now - self._lost_since > patience_seconds

    def _note_return(self) -> None:
        if self._lost_since is not None:
            self._lost_since = None
            self._reporter.note("The connection is back.")


def _choose_source(record: JobRecord, server: JobServer) -> RunSource:
    if record.storage is not None:
        return StorageSource(Storage(record.storage))
    return ClusterSource(server, record.submission_id)
