"""Being attached to a job: following it until it ends, through lost connections and requests to stop."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
import time
from pathlib import PurePosixPath
from typing import Any, Protocol

from retro_gamer.errors import ClusterError, printable
from retro_gamer.jobs.client import JobInfo, JobServer, UnreachableError
from retro_gamer.jobs.submission import JobRecord
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.files import write_atomic
from retro_gamer.run.mirror import Storage
from retro_gamer.run.snapshots import SnapshotFolder
from retro_gamer.run.status import STATUS_NAME, FileMark, RunStatus, matches, parse_status
from retro_gamer.training.learner_main import TrainingOutcome
from retro_gamer.training.loop.end_conditions import StopRequest
from retro_gamer.training.loop.progress import Progress, Reporter

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


LOG = "training.log"
SNAPSHOTS = "replay/"


class Follower:
    """Brings the run in `directory` up to what `source` has, again and again.

    Each file is compared by its hash, so that it makes no difference what was brought home before, or by whom. One that
    has gone there before it was fetched has been replaced, and the next state names its successor.
    """

    def __init__(self, directory: RunDirectory, record: JobRecord, source: RunSource, reporter: Reporter) -> None:
        self._directory = directory
        self._record = record
        self._source = source
        self._reporter = reporter
        self._text = ""
        self._told = 0
        self._seen = b""
        self.n_states = 0
        """Different states that were met."""

    def step(self, *, whole: bool = False) -> RunStatus | None:
        """Show and fetch what is new; return the state, or None if there is none of this job yet.

        Copies of the replay memory are large and are fetched only with `whole`, which is for the end.

        Raises:
            UnreachableError: if the source does not answer.
            ClusterError: if what it holds is no run.
        """
        data = self._source.read(STATUS_NAME)
        if data is None:
            return None
        status = parse_status(data)
        if status.job != self._record.submission_id:  # the storage still holds what an earlier job left
            return None
        if data != self._seen:
            self._seen = data
            self.n_states += 1
        self._show(status)
        self._fetch(status, whole)
        return status

    def _show(self, status: RunStatus) -> None:
        if status.text and status.text != self._text:
            self._text = status.text
            self._reporter.begin(status.text)
        for number, note in enumerate(status.notes, start=status.first_note):
            if number >= self._told:
                self._reporter.note(note)
        self._told = max(self._told, status.first_note + len(status.notes))
        if status.progress is not None:
            self._reporter.progress(Progress(**status.progress))

    def _fetch(self, status: RunStatus, whole: bool) -> None:
        if not status.text:  # the job has not begun: it holds only what it was sent
            return
        missing = self._find_missing(status, whole)
        if missing and self._rewind():
            missing = self._find_missing(status, whole)
        for name, mark in missing.items():
            data = self._source.read(name)
            if data is not None and matches(data, mark):  # else it has changed since, and the next state will tell
                path = self._directory.path / name
                if path.exists():
                    self._directory.keep_abandoned(path.parent)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, data[: mark.size_bytes])
        if missing:
            self._prune(status)

    def _find_missing(self, status: RunStatus, whole: bool) -> dict[str, FileMark]:
        wanted = {name: mark for name, mark in status.files.items() if whole or not name.startswith(SNAPSHOTS)}
        return {name: mark for name, mark in wanted.items() if not self._has(name, mark)}

    def _has(self, name: str, mark: FileMark) -> bool:
        path = self._directory.path / name
        if not path.is_file() or path.stat().st_size != mark.size_bytes:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == mark.sha256

    def _prune(self, status: RunStatus) -> None:
        """Remove what newer files have replaced, as training does where it writes; what the state names stays."""
        named = [PurePosixPath(name) for name in status.files]
        self._directory.prune_checkpoints(keep={path.stem for path in named if path.parent.name == "checkpoints"})
        SnapshotFolder(self._directory.path).prune(*(path.name for path in named if path.parent.name == "replay"))

    def _rewind(self) -> bool:
        """Once the job has begun, move what came after the checkpoint it went on from out of the way here, too.

        A checkpoint that is not this run's comes home as that of its episode, so one of this run makes room for it.
        Return False if it began anew, or all this was done before.
        """
        record = self._record
        if record.resumed_from is None or record.is_rewound:
            return False
        own = next((file for file in self._directory.checkpoints() if file.name == record.resumed_from), None)
        if own is not None and own.episode in (None, record.episodes):
            self._directory.abandon_after(record.episodes, own)
        else:
            self._directory.abandon_after(record.episodes - 1)
        self._record = dataclasses.replace(record, is_rewound=True)
        self._record.save(self._directory.path)
        return True


def outcome_of(status: RunStatus) -> TrainingOutcome | None:
    """Return how the training ended, None if it has not, or not well."""
    values: Any = status.outcome
    return TrainingOutcome(**values) if values else None


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
