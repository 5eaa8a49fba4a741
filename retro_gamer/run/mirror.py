"""Keeping a copy of a run in a storage as it grows. A storage that fails for a while loses nothing."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from retro_gamer.errors import ClusterError, UsageError, printable
from retro_gamer.run.events import EventSink, Progress, Remark, RunEvent
from retro_gamer.run.files import TEMPORARY
from retro_gamer.run.status import STATUS_NAME, FileIndex, FileMark, is_passing, parse_status

EXTRA_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


class Storage:
    """A folder of a file system. Writing replaces a file whole: a reader sees the old or the new one."""

    def __init__(self, uri: str) -> None:
        """Find the file system of `uri` (``s3://bucket/runs/snake``, ``file:///mnt/runs``, ``/mnt/runs``).

        Raises:
            UsageError: if no such kind of storage is known or installed.
        """
        import fsspec

        self.label = hide_secrets(uri)
        try:
            self._files, self._root = fsspec.core.url_to_fs(uri)
        except (ValueError, ImportError) as error:
            scheme = urlsplit(uri).scheme
            package = EXTRA_PACKAGES.get(scheme)
            remedy = f"install it: pip install {package}" if package else "try s3://BUCKET/PATH or a folder"
            raise UsageError(f"--storage {self.label}: {printable(str(error))}; {remedy}") from error
        self._is_local = "file" in self._protocols()
        if self._is_local:
            self._root = os.path.abspath(self._root)

    def _protocols(self) -> tuple[str, ...]:
        protocol = self._files.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

    def read(self, name: str) -> bytes | None:
        """Return the content of the file `name`, None if there is none.

        Raises:
            ClusterError: if the storage cannot be read.
        """
        try:
            self._files.invalidate_cache()
            return bytes(self._files.cat_file(f"{self._root}/{name}"))
        except FileNotFoundError:
            return None
        except Exception as error:  # each file system has errors of its own
            raise self._explain(error) from error

    def write(self, name: str, data: bytes) -> None:
        """Keep `data` as the file `name`.

        Raises:
            ClusterError: if it could not be kept.
        """
        path = f"{self._root}/{name}"
        try:
            if not self._is_local:
                self._files.pipe_file(path, data)  # objects appear whole
                return
            self._files.makedirs(os.path.dirname(path), exist_ok=True)
            temporary = f"{os.path.dirname(path)}/{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"
            try:
                self._files.pipe_file(temporary, data)
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise
        except Exception as error:
            raise self._explain(error) from error

    def remove(self, name: str) -> None:
        """Remove the file `name`, if it is there.

        Raises:
            ClusterError: if it is, and stays.
        """
        try:
            self._files.rm_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> ClusterError:
        text: Any = error.strerror if isinstance(error, OSError) and error.strerror else error
        reason = printable(str(text).splitlines()[0][:300] if str(text) else type(error).__name__)
        if isinstance(error, PermissionError):
            return ClusterError(
                f"the storage {self.label} denies access ({reason}). The machine that trains needs the right to read, "
                "write and delete there: for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a role of the node."
            )
        return ClusterError(f"the storage {self.label} fails: {type(error).__name__}: {reason}")


def hide_secrets(uri: str) -> str:
    """Return `uri` fit to be shown: without a user, a password or a query."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return printable(parts._replace(netloc=host, query="", fragment="").geturl())


EVERY_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0
CLOSING_SECONDS = 120.0


class Mirror:
    """Copies what is new in a run directory to a storage, in a thread of its own, so that training never waits for it.

    What is to be copied is found by looking at the directory, not remembered: after any failure the next look finds
    all of it. The state of the run is written last, so that every file it names is there. After it goes what the run
    has removed since: a checkpoint between the hundreds, a copy of the memory.
    """

    def __init__(
        self, directory: Path, storage: Storage, display: EventSink, every_seconds: float = EVERY_SECONDS
    ) -> None:
        self._directory = directory
        self._storage = storage
        self._display = display
        self._every_seconds = every_seconds
        self._index = FileIndex(directory)
        self._copied: dict[str, FileMark] = {}
        self._copied_status: bytes | None = None
        self._passing: set[str] = set()
        self._has_failed_to_remove = False
        self._closing = threading.Event()
        self._remarks: list[str] = []
        self._failed_since: float | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Mirror:
        """Write once, to find out at once whether the storage can be written, and start.

        Raises:
            ClusterError: if it cannot.
        """
        self._take_over()
        self.copy_new()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Copy what is left, trying for two minutes.

        Raises:
            ClusterError: if the storage fails to the end and nothing else has gone wrong.
        """
        self._closing.set()
        self._thread.join(timeout=CLOSING_SECONDS)
        deadline = time.monotonic() + CLOSING_SECONDS
        pause = 0.5
        while True:
            try:
                self.copy_new()
                self.show_remarks()
                return
            except ClusterError as failure:
                if time.monotonic() + pause > deadline:
                    if error is None:
                        raise ClusterError(f"{failure}\nThe run itself is complete in {self._directory}.") from failure
                    return
            time.sleep(pause)
            pause = min(2 * pause, 10.0)

    def copy_new(self) -> None:
        """Copy all that is new since the last time, and remove what newer files have replaced.

        Raises:
            ClusterError: if the storage fails; what was copied until then is not copied again.
        """
        status = _read(self._directory / STATUS_NAME)
        here = self._index.look()
        for name, mark in here.items():
            if self._copied.get(name) != mark:
                data = _read(self._directory / name)
                if data is not None:
                    if is_passing(name):  # before it is written: a write that fails may leave it there all the same
                        self._passing.add(name)
                    self._storage.write(name, data)
                    self._copied[name] = mark
        if status is not None and status != self._copied_status:
            self._storage.write(STATUS_NAME, status)
            self._copied_status = status
        self._remove_replaced(here)

    def handle(self, event: RunEvent) -> None:
        """Use each `Progress` to show the remarks of the copying thread in the thread of the run."""
        if isinstance(event, Progress):
            self.show_remarks()

    def show_remarks(self) -> None:
        """Show what the copying thread has to remark; called in the thread of the run."""
        while self._remarks:
            self._display.handle(Remark(self._remarks.pop(0)))

    def _take_over(self) -> None:
        """Take passing files that an earlier sitting of this run left in the storage for our own, to go in their time.

        That it was this run is told by a checkpoint which is here, too. Of any other run nothing is ever removed.
        """
        try:
            data = self._storage.read(STATUS_NAME)
            left = parse_status(data).files if data is not None else {}
        except ClusterError:  # whether the storage is of use will be seen when it is written
            return
        here = self._index.look()
        if any(left.get(name) == mark for name, mark in here.items() if name.startswith("checkpoints/")):
            self._passing.update(filter(is_passing, left))

    def _remove_replaced(self, here: Collection[str]) -> None:
        """Remove passing files that are neither `here`, in the run directory, nor named by the state in the storage.

        The copy is whole without that, so a failure is only said, once, and each later look tries again.
        """
        gone = self._passing.difference(here)
        if not gone or self._copied_status is None:
            return
        try:
            for name in sorted(gone.difference(parse_status(self._copied_status).files)):
                self._storage.remove(name)
                self._passing.discard(name)
                self._copied.pop(name, None)  # should the name come again, it is new
        except ClusterError as error:
            if not self._has_failed_to_remove:
                self._has_failed_to_remove = True
                self._remarks.append(f"{error}\nTraining goes on; checkpoints and memory it has replaced stay there.")

    def _run(self) -> None:
        pause = self._every_seconds
        while not self._closing.wait(pause):
            try:
                self.copy_new()
            except ClusterError as error:
                if self._failed_since is None:
                    self._failed_since = time.monotonic()
                    self._remarks.append(f"{error}\nTraining goes on; what is missing there is copied when it is back.")
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            if self._failed_since is not None:
                seconds = time.monotonic() - self._failed_since
                self._remarks.append(f"The storage {self._storage.label} is back after {seconds:.0f} seconds.")
                self._failed_since = None
            pause = self._every_seconds


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
