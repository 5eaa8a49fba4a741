"""Copying a run to a storage while it is trained. A storage that fails for a while loses nothing."""

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
from retro_gamer.run.status import STATUS_NAME, FileIndex, FileMark, is_prunable, parse_status

EXTRA_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


class Storage:
    """A folder on a file system that fsspec knows. Writes are atomic: a reader sees the old file or the new one."""

    def __init__(self, uri: str) -> None:
        """Open the file system of `uri` (``s3://bucket/runs/snake``, ``file:///mnt/runs``, ``/mnt/runs``).

        Raises:
            UsageError: if the kind of storage is unknown, or its package is not installed.
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
        """Write the file `name`.

        Raises:
            ClusterError: if the storage fails.
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
        """Delete the file `name`, if it exists.

        Raises:
            ClusterError: if the storage fails.
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
                f"the storage {self.label} denies access ({reason}). The machine that trains needs permission to read, "
                "write and delete there: for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role of the node."
            )
        return ClusterError(f"the storage {self.label} fails: {type(error).__name__}: {reason}")


def hide_secrets(uri: str) -> str:
    """Return `uri` without user, password and query."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return printable(parts._replace(netloc=host, query="", fragment="").geturl())


EVERY_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0
CLOSING_SECONDS = 120.0


class Mirror:
    """Copies new files of a run directory to a storage, in a thread of its own. Training never waits for it.

    Each scan of the directory finds everything that is missing in the storage, also after a failure. The status is
    written last, when every file it lists is there. Then files that the run has replaced are deleted.
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
        self._prunable: set[str] = set()
        self._has_failed_to_remove = False
        self._closing = threading.Event()
        self._remarks: list[str] = []
        self._failed_since: float | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Mirror:
        """Copy once, which shows whether the storage is writable, and start the thread.

        Raises:
            ClusterError: if it cannot.
        """
        self._adopt_earlier_files()
        self.copy_new()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Copy the rest, for two minutes at most.

        Raises:
            ClusterError: if the storage still fails then and the block raised nothing.
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
        """Copy what is new, and delete what the run has replaced.

        Raises:
            ClusterError: if the storage fails. Files that were copied are not copied again.
        """
        status = _read(self._directory / STATUS_NAME)
        here = self._index.scan()
        for name, mark in here.items():
            if self._copied.get(name) != mark:
                data = _read(self._directory / name)
                if data is not None:
                    if is_prunable(name):  # first, because a write that fails may leave a file
                        self._prunable.add(name)
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
        """Show the remarks of the copying thread. Call this in the thread of the run."""
        while self._remarks:
            self._display.handle(Remark(self._remarks.pop(0)))

    def _adopt_earlier_files(self) -> None:
        """Adopt prunable files uploaded by an earlier session of this run, so that they are deleted once superseded.

        A checkpoint that is in both places shows that it was this run. Files of another run are never deleted.
        """
        try:
            data = self._storage.read(STATUS_NAME)
            left = parse_status(data).files if data is not None else {}
        except ClusterError:  # `copy_new` will report a storage that fails
            return
        here = self._index.scan()
        if any(left.get(name) == mark for name, mark in here.items() if name.startswith("checkpoints/")):
            self._prunable.update(filter(is_prunable, left))

    def _remove_replaced(self, here: Collection[str]) -> None:
        """Delete prunable files that are neither `here`, in the run directory, nor listed by the status in the storage.

        The copy is complete without this, so a failure is reported once, and the next scan tries again.
        """
        gone = self._prunable.difference(here)
        if not gone or self._copied_status is None:
            return
        try:
            for name in sorted(gone.difference(parse_status(self._copied_status).files)):
                self._storage.remove(name)
                self._prunable.discard(name)
                self._copied.pop(name, None)
        except ClusterError as error:
            if not self._has_failed_to_remove:
                self._has_failed_to_remove = True
                self._remarks.append(f"{error}\nTraining continues. Files that it has replaced stay in the storage.")

    def _run(self) -> None:
        pause = self._every_seconds
        while not self._closing.wait(pause):
            try:
                self.copy_new()
            except ClusterError as error:
                if self._failed_since is None:
                    self._failed_since = time.monotonic()
                    self._remarks.append(f"{error}\nTraining continues. New files are copied when the storage is back.")
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
