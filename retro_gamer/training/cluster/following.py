"""Following a run that is trained elsewhere: its figures are shown, its files brought home as they appear."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import PurePosixPath
from typing import Any

from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.files import write_atomic
from retro_gamer.run.snapshots import SnapshotFolder
from retro_gamer.run.status import STATUS_NAME, FileMark, RunStatus, matches, parse_status
from retro_gamer.training.cluster.record import JobRecord
from retro_gamer.training.cluster.sources import RunSource
from retro_gamer.training.learner_main import TrainingOutcome
from retro_gamer.training.loop.progress import Progress, Reporter

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
