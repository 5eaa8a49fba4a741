"""Snapshots: the state of a replay buffer as the bytes of a file, compressed arrays and nothing that could be code."""

from __future__ import annotations

import hashlib
import io
import json
import queue
import threading
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from retro_gamer.errors import first_line

PIECE_BYTES = 4 * 1024 * 1024
PLAIN = "plain"
"""The member that holds everything that is not an array, as JSON."""
ENCRYPTED = 0x1
"""The bit of a member's flags."""
MOST_MEMBERS = 100
COMPRESSION_LEVEL = 1
"""Boards are mostly empty: the fastest level saves nearly as much as the slowest."""


class SnapshotStream:
    """The bytes of a snapshot in pieces, made by a thread.

    Compression releases the interpreter's lock, so the buffer's process keeps serving meanwhile.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._pieces: queue.Queue[bytes | Exception] = queue.Queue()
        self._ended = False
        self._thread = threading.Thread(target=self._make, args=(state,), daemon=True)
        self._thread.start()

    def next_piece(self, timeout_seconds: float = 0.0) -> bytes | None:
        """Return the next piece, None if it is not ready in time, or b"" after the last.

        Raises:
            MemoryError, OSError, ValueError: if the thread failed.
        """
        if self._ended:
            return b""
        try:
            piece = self._pieces.get(block=timeout_seconds > 0, timeout=timeout_seconds)
        except queue.Empty:
            return None
        self._ended = not piece or isinstance(piece, Exception)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def _make(self, state: Mapping[str, Any]) -> None:
        try:
            file = _Pieces(self._pieces)
            write_snapshot(state, file)
            file.finish()
        except Exception as error:  # raised by `next_piece`
            self._pieces.put(error)


class _Pieces(io.RawIOBase):
    """A file to write to, which puts its contents into a queue piece by piece."""

    def __init__(self, pieces: queue.Queue[bytes | Exception]) -> None:
        self._queue = pieces
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        while len(self._held) >= PIECE_BYTES:
            self._put()
        return len(data)

    def finish(self) -> None:
        """Put the rest, and then the empty piece that ends the stream."""
        if self._held:
            self._put()
        self._queue.put(b"")

    def _put(self) -> None:
        self._queue.put(bytes(self._held[:PIECE_BYTES]))
        del self._held[:PIECE_BYTES]


def write_snapshot(state: Mapping[str, Any], file: Any) -> None:
    """Write the state of a buffer to a binary file, which need not be seekable."""
    plain = {name: value for name, value in state.items() if not isinstance(value, np.ndarray)}
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    arrays[PLAIN] = np.frombuffer(json.dumps(plain).encode(), np.uint8)
    signing = _Signing(file)
    with zipfile.ZipFile(signing, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as archive:
        archive.comment = SIGNATURE + bytes(DIGEST_BYTES)
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    signing.finish()


SIGNATURE = b"sha256:"
"""Begins the archive's comment, with which the file ends."""
DIGEST_BYTES = 64


class _Signing(io.RawIOBase):
    """A file to write to that passes everything on, and its SHA-256 in place of the last `DIGEST_BYTES` bytes."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._held = b""
        self._sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        whole = self._held + bytes(data)
        self._held = whole[-DIGEST_BYTES:]
        self._pass_on(whole[:-DIGEST_BYTES])
        return len(data)

    def finish(self) -> None:
        """Write the digest."""
        self._file.write(self._sha256.hexdigest().encode())

    def _pass_on(self, data: bytes) -> None:
        self._sha256.update(data)
        self._file.write(data)


def is_signed(data: bytes) -> bool:
    """Return whether a snapshot ends with its digest; those of older versions do not."""
    return data[-DIGEST_BYTES - len(SIGNATURE) : -DIGEST_BYTES] == SIGNATURE


def _check_digest(data: bytes) -> None:
    if is_signed(data):
        sha256 = hashlib.sha256(memoryview(data)[:-DIGEST_BYTES]).hexdigest()
        if data[-DIGEST_BYTES:] != sha256.encode():
            raise ValueError("it is damaged: its content does not have the digest (SHA-256) that was written with it")


def read_snapshot(data: bytes, limit_bytes: int) -> dict[str, Any]:
    """Return the state that was written, for `ReplayBuffer.set_state`.

    Nothing is unpickled, and at most `limit_bytes` are unpacked: a small file can claim to hold anything.

    Raises:
        ValueError: if the bytes are damaged, no snapshot, or hold more.
    """
    _check_digest(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(archive, is_signed(data), limit_bytes)
            arrays = {name.removesuffix(".npy"): _read_array(archive, name) for name in archive.namelist()}
        plain = json.loads(arrays.pop(PLAIN).tobytes())
    except Exception as error:  # zipfile, zlib and numpy name none: bytes without sense raise nearly anything
        raise ValueError(f"it is damaged or is no snapshot ({first_line(error)})") from error
    if not isinstance(plain, dict):
        raise ValueError("it is no snapshot")
    return {**plain, **arrays}


def _check_members(archive: zipfile.ZipFile, signed: bool, limit_bytes: int) -> None:
    members = archive.infolist()
    size_bytes = sum(member.file_size for member in members)
    if size_bytes > limit_bytes:
        raise ValueError(f"it would unpack to {size_bytes} bytes, and this memory holds {limit_bytes}")
    kinds = {(member.compress_type, member.flag_bits & ENCRYPTED) for member in members}
    if kinds - {(zipfile.ZIP_DEFLATED, 0)} or len(members) > MOST_MEMBERS or (archive.comment and not signed):
        raise ValueError("its archive is not of the kind that retro-gamer writes")


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    info = archive.getinfo(name)
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"{name} has format {version}")
        shape, is_fortran, kind = read_header(member)
        count = int(np.prod([int(n) for n in shape], dtype=object)) if shape else 1
        # Check the header before making its array: it may claim any size.
        if kind.hasobject or is_fortran or min(shape, default=0) < 0 or count * kind.itemsize > info.file_size:
            raise ValueError(f"{name} is not an array that a snapshot holds")
        array = np.frombuffer(member.read(count * kind.itemsize), kind, count)
        member.read()  # to the end, where its checksum is compared
    return array.reshape(shape).copy()
