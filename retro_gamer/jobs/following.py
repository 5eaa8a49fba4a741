"""Following a job until it ends, through lost connections and requests to stop, and bringing its files home."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import threading
import time
from pathlib import PurePosixPath

from retro_gamer.errors import ClusterError, first_line, printable
from retro_gamer.jobs.client import JobInfo, JobServer, UnreachableError
from retro_gamer.jobs.submission import JobNote
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import EventSink, Remark, Starting, TrainingOutcome
from retro_gamer.run.files import check_link, write_atomic
from retro_gamer.run.mirror import Storage
from retro_gamer.run.snapshots import SnapshotFolder
from retro_gamer.run.status import STATUS_NAME, FileMark, RunStatus, matches, parse_status
from retro_gamer.training.loop.end_conditions import StopRequest

FOLDER = "retro-gamer"
"""The folder of all runs within the logs of a job's first node; Ray serves its files over HTTP."""
SNAPSHOTS = "replay/"
POLL_SECONDS = 1.0
RETRY_SECONDS = 600.0
"""How long a lost connection is retried."""
_KILLED = re.compile(r"failed with exit code (-\d+|137)\b")
UNKNOWN_JOB_SECONDS = 60.0
"""How long to wait for news in the storage of a job that the cluster does not know."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobEnd:
    """How a job ended: the last report of the job server and the last status of the run, None if there was none."""

    info: JobInfo | None
    status: RunStatus | None

    def explain_failure(self) -> str | None:
        """Return what went wrong, or None if nothing did."""
        if self.status is not None and self.status.state == "failed":
            return self.status.error or "the training failed"
        if self.status is not None and self.status.state == "ended":
            return None
        if self.info is not None and self.info.status == "STOPPED":
            return "the job was stopped before its last checkpoint was written"
        message = self.info.message.strip() if self.info is not None else ""
        killed = _KILLED.search(message)
        if killed is not None:
            return (
                f"the process of the job was killed (exit code {killed[1]}); its node may have run out of memory. The "
                "files that arrived here are whole. Resume: --resume latest"
            )
        errors = [line for line in message.splitlines() if line.startswith("Error: ")]
        last = "\n".join(errors[-1:] or message.splitlines()[-5:])
        return printable(f"the job ended without a result.\n{last.removeprefix('Error: ')}")

    def outcome(self) -> TrainingOutcome | None:
        """Return how the training ended, or None if it did not end properly."""
        return self.status.read_outcome() if self.status is not None else None


class JobFollower:
    """Follows one job from one process."""

    def __init__(
        self, directory: RunDirectory, note: JobNote, server: JobServer, display: EventSink, stop: StopRequest,
        *, files: RunFiles | None = None, retry_seconds: float = RETRY_SECONDS,
    ) -> None:  # fmt: skip
        self._note = note
        self._server = server
        self._display = display
        self._stop = stop
        self._retry_seconds = retry_seconds
        self._run = RunFollower(directory, note, files or RunFiles(note, server), display)
        self._status: RunStatus | None = None
        self._stop_is_sent = False
        self._lost_since: float | None = None

    def follow(self) -> JobEnd:
        """Follow the job until it has ended and all its files are here.

        Raises:
            ClusterError: if the cluster does not know the job, or does not answer for ten minutes. If a storage holds
                the run, only when nothing new arrives there either; its files are here then.
        """
        while True:
            try:
                end = self._poll()
                if end is not None:
                    return end
            except UnreachableError as error:
                if self._retries_are_over(error, self._retry_seconds):
                    raise ClusterError(
                        f"{error}\nThe job is still running. To follow it again: retro-gamer attach RUN_DIR"
                    ) from error
            threading.Event().wait(POLL_SECONDS)

    def _poll(self) -> JobEnd | None:
        """Check the job and its run once; return how the job ended, if it has."""
        try:
            info = self._server.info(self._note.submission_id)
        except ClusterError as error:
            if self._note.storage is None:
                raise
            return self._poll_storage(error)
        self._forward_stop()
        self._status = self._run.update(whole=info.has_ended) or self._status
        if info.has_ended:
            return JobEnd(info=info, status=self._status)
        if self._lost_since is not None:
            self._lost_since = None
            self._display.handle(Remark("The connection is back."))
        return None

    def _poll_storage(self, cause: ClusterError) -> JobEnd | None:
        """Follow the run in its storage alone: because of `cause`, the cluster does not report on the job.

        Raises:
            ClusterError: if nothing new arrives, or the job should be stopped.
        """
        if self._stop.is_made:
            raise ClusterError(f"{cause}\nThe job could not be asked to stop and may still be running.")
        n_statuses = self._run.n_statuses
        self._status = self._run.update() or self._status
        if self._status is not None and self._status.state != "running":
            self._run.update(whole=True)
            return JobEnd(info=None, status=self._status)
        if self._run.n_statuses != n_statuses:
            self._lost_since = None
            return None
        seconds = self._retry_seconds if isinstance(cause, UnreachableError) else UNKNOWN_JOB_SECONDS
        if self._retries_are_over(cause, seconds):
            self._run.update(whole=True)
            raise ClusterError(
                f"{cause}\nNothing new arrives in {self._note.storage}; its files of the run are here. If the job is "
                "gone, continue with: retro-gamer train RUN_DIR --resume latest"
            )
        return None

    def _forward_stop(self) -> None:
        if self._stop.is_made and not self._stop_is_sent:
            self._server.stop(self._note.submission_id)
            self._stop_is_sent = True
            text = "Asked the job to stop; it writes a checkpoint first. Press Ctrl-C again to exit without waiting."
            self._display.handle(Remark(text))

    def _retries_are_over(self, error: ClusterError, seconds: float) -> bool:
        """Return whether the connection has been lost for that long. The first loss is reported."""
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
            self._display.handle(Remark(f"The connection is lost ({first_line(error)}). Retrying."))
        return now - self._lost_since > seconds


class RunFollower:
    """Keeps the run in `directory` up to date with the run of a job.

    Files are compared by their hashes, so it does not matter what was fetched before, or by which process. A file that
    is deleted there before it could be fetched has been replaced, and the next status names its successor.
    """

    def __init__(self, directory: RunDirectory, note: JobNote, files: RunFiles, display: EventSink) -> None:
        self._directory = directory
        self._note = note
        self._files = files
        self._display = display
        self._text = ""
        self._n_reported = 0
        self._last_status = b""
        self.n_statuses = 0
        """Different statuses read so far."""

    def update(self, *, whole: bool = False) -> RunStatus | None:
        """Report and fetch what is new; return the run's status, or None if this job has written none yet.

        Snapshots of the replay memory are large. They are fetched only with `whole`, at the end.

        Raises:
            UnreachableError: if the files cannot be read now.
            ClusterError: if the status is damaged.
        """
        data = self._files.read(STATUS_NAME)
        if data is None:
            return None
        status = parse_status(data)
        if status.job != self._note.submission_id:  # left in the storage by an earlier job
            return None
        if data != self._last_status:
            self._last_status = data
            self.n_statuses += 1
        self._report(status)
        self._fetch(status, whole)
        return status

    def _report(self, status: RunStatus) -> None:
        if status.text and status.text != self._text:
            self._text = status.text
            self._display.handle(Starting(status.text))
        for number, remark in enumerate(status.notes, start=status.first_note):
            if number >= self._n_reported:
                self._display.handle(Remark(remark))
        self._n_reported = max(self._n_reported, status.first_note + len(status.notes))
        progress = status.read_progress()
        if progress is not None:
            self._display.handle(progress)

    def _fetch(self, status: RunStatus, whole: bool) -> None:
        if not status.text:  # training has not begun: the job has only the files it was sent
            return
        missing = self._find_missing(status, whole)
        if missing and self._rewind():
            missing = self._find_missing(status, whole)
        for name, mark in missing.items():
            data = self._files.read(name)
            if data is not None and matches(data, mark):  # else it has changed, and the next status describes it
                path = self._directory.path / name
                if path.exists():
                    self._directory.keep_abandoned(path.parent)
                check_link(path.parent, self._directory.path)
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
        """Delete what newer files have replaced, as training does; the files that the status names stay."""
        named = [PurePosixPath(name) for name in status.files]
        self._directory.prune_checkpoints(keep={path.stem for path in named if path.parent.name == "checkpoints"})
        SnapshotFolder(self._directory.path).prune(*(path.name for path in named if path.parent.name == "replay"))

    def _rewind(self) -> bool:
        """When the job has begun, move everything after the checkpoint that it continues from aside here, too.

        A checkpoint of another run arrives under the name of its episode, so one of this run with that name is moved
        as well. Return False if the job started from nothing, or this was done before.
        """
        note = self._note
        if note.resumed_from is None or note.is_rewound:
            return False
        own = next((file for file in self._directory.checkpoints() if file.name == note.resumed_from), None)
        if own is not None and own.episode in (None, note.episodes):
            self._directory.abandon_after(note.episodes, own)
        else:
            self._directory.abandon_after(note.episodes - 1)
        self._note = dataclasses.replace(note, is_rewound=True)
        self._note.save(self._directory.path)
        return True


class RunFiles:
    """The files of a job's run: in its storage or, without one, on the node that the job started on."""

    def __init__(self, note: JobNote, server: JobServer) -> None:
        self._submission_id = note.submission_id
        self._server = server
        self._storage = Storage(note.storage) if note.storage is not None else None
        self._node_id: str | None = None

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None if it does not exist.

        Raises:
            UnreachableError: if the storage or the cluster does not answer.
        """
        if self._storage is not None:
            try:
                return self._storage.read(name)
            except ClusterError as error:
                raise UnreachableError(str(error)) from error
        if self._node_id is None:
            self._node_id = self._server.info(self._submission_id).node_id
        if self._node_id is None:
            return None
        return self._server.read_log_file(self._node_id, f"{FOLDER}/{self._submission_id}/{name}")
