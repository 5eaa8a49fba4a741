"""status.json: the progress, remarks and files of a run, from which another machine follows it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retro_gamer.errors import ClusterError, first_line, quoted
from retro_gamer.run.directory import RunDirectory, is_between
from retro_gamer.run.events import Failed, Progress, Remark, RunEvent, Starting, TrainingOutcome
from retro_gamer.run.files import Record, leads_out, parse_json, read_record, write_atomic

STATUS_NAME = "status.json"
FORMAT_VERSION = 1
MOST_NOTES = 200
WRITE_SECONDS = 1.0
STATES = ("running", "ended", "failed")
LARGEST_BYTES = 16_000_000
"""Of a status that is read."""
LONGEST_NAME = 100
_SNAPSHOT = r"replay/ep_\d{4,}-[0-9a-f]{8}\.npz"
_FILES = (
    r"config\.toml",
    r"training\.log(\.\d+)?",
    r"checkpoints/(abandoned-\d+/)?(ep_\d{4,}|final)\.pt",
    _SNAPSHOT,
)
_FILE = re.compile("|".join(f"(?:{pattern})" for pattern in _FILES), re.ASCII)
_PRUNABLE = re.compile(rf"checkpoints/ep_(?P<episode>\d{{4,}})\.pt|{_SNAPSHOT}", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileMark:
    """The version of a file: its first `size_bytes` bytes have this SHA-256."""

    size_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunStatus:
    """The status of a run that is trained on another machine."""

    state: str
    """``running``, ``ended`` or ``failed``."""
    job: str | None = None
    """The job that wrote this, if it was one. A storage may still hold the status of an earlier job."""
    text: str
    """The description of network and allocation, empty before training starts."""
    notes: tuple[str, ...]
    """The latest remarks."""
    first_note: int
    """The number of earlier remarks, which are left out."""
    progress: Mapping[str, Any] | None
    outcome: Mapping[str, Any] | None
    error: str | None
    files: Mapping[str, FileMark]

    def read_progress(self) -> Progress | None:
        """Return the progress of the run, None before the first.

        Raises:
            ClusterError: if its fields are not those of `Progress`.
        """
        return None if self.progress is None else _read(Progress, self.progress)

    def read_outcome(self) -> TrainingOutcome | None:
        """Return how the training ended, None while it has not.

        Raises:
            ClusterError: if its fields are not those of `TrainingOutcome`.
        """
        outcome = None if self.outcome is None else _read(TrainingOutcome, self.outcome)
        if outcome is not None and not 0 <= (outcome.signal_number or 0) < 128:
            raise ClusterError(f"the {STATUS_NAME} of the cluster names the signal {outcome.signal_number}")
        return outcome

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return json.dumps(_encode({"format_version": FORMAT_VERSION, **dataclasses.asdict(self)})).encode()


def is_run_file(name: str) -> bool:
    """Return whether `name` is the path of a file of a run, relative to its directory. No other file is downloaded."""
    return len(name) <= LONGEST_NAME and _FILE.fullmatch(name) is not None


def is_prunable(name: str) -> bool:
    """Return whether newer files replace the file `name`: a checkpoint between the hundreds, or a replay snapshot."""
    found = _PRUNABLE.fullmatch(name)
    return found is not None and (found["episode"] is None or is_between(int(found["episode"])))


def parse_status(data: bytes) -> RunStatus:
    """Return the status that `RunStatus.to_bytes` wrote.

    Raises:
        ClusterError: if it is anything else, or names a file that is no file of a run.
    """
    try:
        values = _decode(parse_json(data, LARGEST_BYTES))
        if values.pop("format_version") != FORMAT_VERSION:
            raise ValueError("another format")
        status = read_record(RunStatus, values)
        if status.state not in STATES or min([status.first_note, *(m.size_bytes for m in status.files.values())]) < 0:
            raise ValueError("its values are out of range")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _make_error(error) from error
    strange = [name for name in status.files if not is_run_file(name)]
    if strange:
        raise ClusterError(
            f"the {STATUS_NAME} of the cluster lists {quoted(strange[0])}, which cannot be a file of a run"
        )
    return status


def _read(kind: type[Record], values: object) -> Record:
    try:
        return read_record(kind, values)
    except (ValueError, TypeError) as error:
        raise _make_error(error) from error


def _make_error(error: Exception) -> ClusterError:
    return ClusterError(f"the {STATUS_NAME} of the cluster is not the status of a run ({first_line(error)})")


class FileIndex:
    """The files of a run directory and their versions. A file is read again only after a change."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, tuple[tuple[int, int], FileMark]] = {}

    def scan(self) -> dict[str, FileMark]:
        """Return the version of each file."""
        marks: dict[str, FileMark] = {}
        for path in sorted(self._directory.rglob("*")):
            name = path.relative_to(self._directory).as_posix()
            if is_run_file(name) and path.is_file() and not leads_out(path, self._directory):
                mark = self._mark(name, path)
                if mark is not None:
                    marks[name] = mark
        self._known = {name: known for name, known in self._known.items() if name in marks}
        return marks

    def _mark(self, name: str, path: Path) -> FileMark | None:
        try:
            status = path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            known = self._known.get(name)
            if known is None or known[0] != stamp:
                data = path.read_bytes()
                known = (stamp, FileMark(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))
                self._known[name] = known
        except FileNotFoundError:  # pruned meanwhile
            return None
        return known[1]


def matches(data: bytes, mark: FileMark) -> bool:
    """Return whether `data` starts with the marked version, as a log does that has grown since."""
    return hashlib.sha256(data[: mark.size_bytes]).hexdigest() == mark.sha256


class StatusPublisher:
    """Writes status.json into the run directory about once a second, for a process that follows the run."""

    def __init__(self, directory: RunDirectory, job_name: str | None = None) -> None:
        self._job_name = job_name
        self._path = directory.path / STATUS_NAME
        self._index = FileIndex(directory.path)
        self._text = ""
        self._remarks: list[str] = []
        self._progress: Progress | None = None
        self._next = 0.0

    def handle(self, event: RunEvent) -> None:
        """Keep what a follower shows; write when training starts or ends, and in between if it is time to."""
        match event:
            case Starting():
                self._text = event.text
                self.write("running")
            case Remark():
                self._remarks.append(event.text)
            case Progress():
                self._progress = event
                if time.monotonic() >= self._next:
                    self.write("running")
            case TrainingOutcome():
                self.write("ended", outcome=event)
            case Failed():
                self.write("failed", error=str(event.error))

    def write(self, state: str, *, outcome: TrainingOutcome | None = None, error: str | None = None) -> None:
        """Write the status as it is now."""
        self._next = time.monotonic() + WRITE_SECONDS
        status = RunStatus(
            state=state,
            job=self._job_name,
            text=self._text,
            notes=tuple(self._remarks[-MOST_NOTES:]),
            first_note=max(0, len(self._remarks) - MOST_NOTES),
            progress=dataclasses.asdict(self._progress) if self._progress else None,
            outcome=dataclasses.asdict(outcome) if outcome else None,
            error=error,
            files=self._index.scan(),
        )
        # Without room on the disk the run itself waits and says so; this is only a view of it.
        with contextlib.suppress(OSError):
            write_atomic(self._path, status.to_bytes())


def _encode(value: Any) -> Any:
    """Encode numbers that JSON lacks: infinity and NaN."""
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    return {"number": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"number"}:
            return float(value["number"])
        return {key: _decode(item) for key, item in value.items()}
    return [_decode(item) for item in value] if isinstance(value, list) else value
