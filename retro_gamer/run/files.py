"""One trainer for each run directory."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import json
import os
import secrets
import socket
from pathlib import Path
from types import TracebackType

from retro_gamer.errors import RunExistsError, printable

_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class RunLock:
    """Holds a run directory from `with` to its end.

    The lock is the operating system's, on the file ``.lock``: it goes with its owner however that dies, so
    a lock left behind never needs to be removed. What the file says (process, machine, since when) is for the
    message. On a file system without locks what it says must do: it is then believed as long as
    that process lives, or always if it is on another machine.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / ".lock"
        self._descriptor: int | None = None

    def __enter__(self) -> RunLock:
        """Take the lock.

        Raises:
            RunExistsError: naming the holder, if another trainer holds it.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._take(descriptor)
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_ourselves()).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            # The file itself stays: removing it could take it from under a trainer that just opened it.
            os.truncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._held(_read_holder(descriptor)) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS_HERE:
                raise
            holder = _read_holder(descriptor)
            if holder and _may_live(holder):
                raise self._held(holder) from None

    def _held(self, holder: dict[str, object]) -> RunExistsError:
        who = "another process"
        if holder:
            who = f"process {holder.get('pid')} on {holder.get('host')}, since {holder.get('since')}"
        return RunExistsError(
            printable(
                f"{self.path.parent} is being trained by {who}.\n"
                f"Wait for it, stop it, or train another run directory. (If it is surely gone, delete {self.path}.)"
            )
        )


def _ourselves() -> dict[str, object]:
    since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _read_holder(descriptor: int) -> dict[str, object]:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _may_live(holder: dict[str, object]) -> bool:
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int) or not 0 < pid < 2**31:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # there is such a process, of another user
    return True


TEMPORARY = ".tmp-"
"""How the names of files begin that are being written."""


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, durably: after return a power cut does not undo it.

    The data goes first to a neighbour whose name no pattern for checkpoints, logs or settings matches,
    so that what a crash leaves behind is never taken for the real thing.

    Raises:
        OSError: if it cannot be written (disk full, read-only); the old file is then untouched.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name[:100]}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # it is not there, or the file system is read-only
            temporary.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make renames within `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def first_free(directory: Path, stem: str) -> Path:
    """Return the path `directory`/`stem`<n> with the smallest n from 1 on that does not exist."""
    n = 1
    while os.path.lexists(directory / f"{stem}{n}"):
        n += 1
    return directory / f"{stem}{n}"
