"""Keeping the state of a run beside it while it is trained, for those who follow it from another machine."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from typing import Any

from retro_gamer.errors import RetroGamerError
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.files import write_atomic
from retro_gamer.run.mirror import Mirror, Storage
from retro_gamer.run.status import MOST_NOTES, STATUS_NAME, FileIndex, RunStatus
from retro_gamer.training.loop.progress import Progress, Reporter

WRITE_SECONDS = 1.0


class StatusReporter:
    """Writes status.json into the run directory about once a second, and passes everything on."""

    def __init__(self, reporter: Reporter, directory: RunDirectory, job_name: str | None = None) -> None:
        self._reporter = reporter
        self._job_name = job_name
        self._path = directory.path / STATUS_NAME
        self._index = FileIndex(directory.path)
        self._text = ""
        self._notes: list[str] = []
        self._progress: Progress | None = None
        self._next = 0.0
        self.mirror: Mirror | None = None

    def begin(self, text: str) -> None:
        """Keep the description."""
        self._text = text
        self._reporter.begin(text)
        self.write("running")

    def progress(self, progress: Progress) -> None:
        """Keep the figures, and write if it is time to."""
        self._progress = progress
        self._reporter.progress(progress)
        if time.monotonic() >= self._next:
            self.write("running")
            if self.mirror is not None:
                self.mirror.say_notes()

    def note(self, text: str) -> None:
        """Keep the remark."""
        self._notes.append(text)
        self._reporter.note(text)

    def close(self) -> None:
        """Close what is reported to."""
        self._reporter.close()

    def write(self, state: str, outcome: Any = None, error: str | None = None) -> None:
        """Write the state as it is now."""
        self._next = time.monotonic() + WRITE_SECONDS
        status = RunStatus(
            state=state,
            job=self._job_name,
            text=self._text,
            notes=tuple(self._notes[-MOST_NOTES:]),
            first_note=max(0, len(self._notes) - MOST_NOTES),
            progress=dataclasses.asdict(self._progress) if self._progress else None,
            outcome=dataclasses.asdict(outcome) if outcome else None,
            error=error,
            files=self._index.look(),
        )
        # Where there is no room the run itself waits for some, and says so; this is only a view of it.
        with contextlib.suppress(OSError):
            write_atomic(self._path, status.to_bytes())


@contextlib.contextmanager
def mirrored(served: StatusReporter, directory: RunDirectory, storage_uri: str | None) -> Iterator[None]:
    """Keep a copy of the run in the storage, if one is named, until the end of the block and of what it left.

    Raises:
        UsageError, ClusterError: if there is no such storage, or it denies access.
    """
    if storage_uri is None:
        yield
        return
    with Mirror(directory.path, Storage(storage_uri), served.note) as mirror:
        served.mirror = mirror
        yield


@contextlib.contextmanager
def failures_told(served: StatusReporter) -> Iterator[None]:
    """Write into the state why a training failed, for those who only see that."""
    try:
        yield
    except RetroGamerError as error:
        served.write("failed", error=str(error))
        raise
