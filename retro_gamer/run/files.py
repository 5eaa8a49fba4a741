"""Files of a run: the lock that allows one trainer at a time, atomic writes, and checked records."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import errno
import fcntl
import json
import os
import re
import secrets
import socket
import stat
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from retro_gamer.errors import RetroGamerError, RunExistsError, StorageError, printable

_WRITTEN = re.compile(
    r"\.lock|\.job\.json|status\.json|training\.log(\.\d+)?|checkpoints|replay|abandoned-\d+", re.ASCII
)
"""What training writes in a run directory and its checkpoints. config.toml may be a link: its user edits it."""


def check_links(run_dir: Path) -> None:
    """Check that no link in a run directory leads what is written there to another place.

    Raises:
        StorageError: naming the first link that does.
    """
    for folder in (run_dir, run_dir / "checkpoints"):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if _WRITTEN.fullmatch(path.name):
                check_link(path, run_dir)


def check_link(path: Path, run_dir: Path) -> None:
    """Check that `path` is not a link that leads out of `run_dir`. The run directory itself may be reached by a link.

    Raises:
        StorageError: if it is.
    """
    if leads_out(path, run_dir):
        raise StorageError(
            printable(
                f"{path} is a link that leads out of the run, to {os.path.realpath(path)}; nothing outside the run is "
                "written or deleted.\nReplace the link by what it leads to, or move the whole run there."
            )
        )


def leads_out(path: Path, run_dir: Path) -> bool:
    """Return whether `path` is, or is reached by, a link out of `run_dir`."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(run_dir))


def open_own(path: Path | str, flags: int) -> int:
    """Return a descriptor of a regular file, for `open(..., opener=open_own)`; no link is followed.

    Raises:
        OSError: also for a link, and for a FIFO or device, which is never waited for.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        _check_regular(descriptor, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: Path, limit_bytes: int) -> bytes:
    """Return the content of a file that a stranger may have made.

    Raises:
        OSError: also for a FIFO or device, which is never waited for, and for more than `limit_bytes`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_regular(descriptor, path)
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes > limit_bytes:
            raise OSError(errno.EFBIG, f"larger than the {limit_bytes:,} bytes that are read", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(size_bytes)
    finally:
        os.close(descriptor)


def _check_regular(descriptor: int, path: Path | str) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class RunLock:
    """Locks a run directory for one trainer until the end of the block.

    The operating system locks the file ``.lock`` and releases it when the process ends, however it ends. The file names
    the holder (process, machine, time) for error messages. On a file system without locks the file itself is the lock:
    it counts while its process lives, or always if that is on another machine. It stays our own code, because
    filelock knows neither the holder nor such file systems.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / ".lock"
        self._descriptor: int | None = None
        self._folder: tuple[int, int] | None = None

    def __enter__(self) -> RunLock:
        """Acquire the lock.

        Raises:
            RunExistsError: naming the holder, if another trainer has the lock.
            StorageError: if a link leads out of the run directory.
        """
        check_links(self.path.parent)
        descriptor = open_own(self.path, os.O_RDWR | os.O_CREAT)
        try:
            self._take(descriptor)
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_ourselves()).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._folder = _identity(os.stat(self.path.parent))
        return self

    def find_loss(self) -> str | None:
        """Return what happened to the run directory, in words, if this lock no longer protects it; else None.

        A lock file that was deleted is made again, unless another trainer has made one.
        """
        if self._descriptor is None:
            return None
        try:
            if _identity(os.stat(self.path.parent)) != self._folder:
                return "was replaced"
            if _identity(os.fstat(self._descriptor)) == _identity(os.lstat(self.path)):
                return None
            return "was locked by another trainer, after its file .lock was deleted,"
        except FileNotFoundError:
            return self._take_again()

    def _take_again(self) -> str | None:
        if not self.path.parent.is_dir():
            return "was deleted"
        held, self._descriptor = self._descriptor, None
        try:
            self.__enter__()
        except (OSError, RetroGamerError):
            self._descriptor = held
            return "was locked by another trainer, after its file .lock was deleted,"
        if held is not None:
            os.close(held)
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            # The file stays: another trainer may have just opened it.
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
                f"Wait for it, stop it, or choose another run directory. (If it no longer runs, delete {self.path}.)"
            )
        )


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


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
        return True  # the process belongs to another user
    return True


TEMPORARY = ".tmp-"
"""Prefix of the names of files that are being written."""


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, durably: a power cut after the return does not undo it.

    The data is first written to a temporary file beside it, whose name is never that of a checkpoint, log or
    configuration. Mode and, where we may, owner stay those of the old file. A link at `path` is replaced, not followed.

    Raises:
        OSError: if it cannot be written (disk full, read-only). The old file is unchanged then.
    """
    old = _writable_status(path)
    temporary = path.with_name(f"{TEMPORARY}{path.name[:100]}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            if old is not None:
                with contextlib.suppress(PermissionError):  # only root gives files away
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # it is not there, or the file system is read-only
            temporary.unlink()
        raise
    sync_directory(path.parent)


def _writable_status(path: Path) -> os.stat_result | None:
    """Return the status of the regular file at `path`, None if there is none.

    Raises:
        PermissionError: if the file is read-only, which its folder would not prevent us from replacing.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    is_protected = not os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)  # root may write anything
    if is_protected or not status.st_mode & 0o222:
        rule = f"the file is read-only (mode {stat.S_IMODE(status.st_mode):03o}); make it writable with chmod u+w"
        raise PermissionError(errno.EACCES, rule, str(path))
    return status


def sync_directory(directory: Path) -> None:
    """Make renames within `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def first_free(directory: Path, stem: str) -> Path:
    """Return the path `directory`/`stem`<n> with the smallest n >= 1 that does not exist."""
    n = 1
    while os.path.lexists(directory / f"{stem}{n}"):
        n += 1
    return directory / f"{stem}{n}"


Record = TypeVar("Record")


def parse_json(data: bytes, limit_bytes: int) -> Any:
    """Return the value that JSON from a stranger holds.

    Raises:
        ValueError: if it is not JSON, is nested too deeply, or has more than `limit_bytes`.
    """
    if len(data) > limit_bytes:
        raise ValueError(f"it has more than {limit_bytes:,} bytes")
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_record(kind: type[Record], values: object) -> Record:
    """Return the dataclass `kind` made from parsed JSON, after checking the names and types of all fields.

    It stays our own code: pydantic takes 0.3 seconds to load, and would have to be installed on every node.

    Raises:
        ValueError: for a field of another type, or an integer of more than 63 bits.
        TypeError: for a field that is unknown or missing.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{kind.__name__} is not an object")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _read_value(hints.get(name, Any), value, name) for name, value in values.items()})


def _read_value(hint: Any, value: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin is types.UnionType:
        return None if value is None else _read_value(arguments[0], value, name)
    if dataclasses.is_dataclass(hint):
        return read_record(typing.cast("type[Any]", hint), value)
    if origin is tuple and isinstance(value, list):
        return tuple(_read_value(arguments[0], entry, name) for entry in value)
    if origin is Mapping and isinstance(value, dict):
        return {key: _read_value(arguments[1], entry, f"{name}.{key}") for key, entry in value.items()}
    if type(value) is int and abs(value) >= 2**63:
        raise ValueError(f"{printable(name)} is too large a number")
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise ValueError(f"{printable(name)} must be {getattr(hint, '__name__', hint)}, not {type(value).__name__}")
