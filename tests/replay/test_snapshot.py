from __future__ import annotations

import io
import itertools
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from retro_gamer.replay.buffer import ReplayBuffer
from retro_gamer.replay.snapshot import PIECE_BYTES, SnapshotStream, read_snapshot, write_snapshot
from tests.replay.blocks import chain, make_buffer

LIMIT = 10**9


def filled(*, prioritized: bool = True) -> ReplayBuffer:
    buffer, serial = make_buffer(capacity=100, prioritized=prioritized), itertools.count()
    for turns in (30, 50, 45):
        priorities = [1.0 + i for i in range(turns)] if prioritized else None
        buffer.push(chain(turns, priorities, serial))
    return buffer


def collect(state: dict[str, Any]) -> list[bytes]:
    stream, pieces = SnapshotStream(state), []
    while (piece := stream.next_piece(60.0)) != b"":
        assert piece is not None
        pieces.append(piece)
    assert stream.next_piece() == b""
    return pieces


@pytest.mark.parametrize("prioritized", [True, False])
def test_a_memory_put_back_draws_what_the_first_would_have_drawn(prioritized: bool) -> None:
    first, second = filled(prioritized=prioritized), make_buffer(capacity=100, prioritized=prioritized, seed=99)
    second.set_state(read_snapshot(b"".join(collect(first.get_state())), LIMIT))
    assert (len(second), second.turns, second.added) == (len(first), first.turns, first.added)
    for one, other in zip(first.sample(4, 32), second.sample(4, 32), strict=True):
        for name in one.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_large_memories_come_in_pieces() -> None:
    noise = np.random.default_rng(0).integers(0, 255, 3 * PIECE_BYTES, np.uint8)
    pieces = collect({"codes": noise, "turns": 7})
    assert len(pieces) >= 3
    assert {len(piece) for piece in pieces[:-1]} == {PIECE_BYTES}
    state = read_snapshot(b"".join(pieces), LIMIT)
    np.testing.assert_array_equal(state["codes"], noise)
    assert state["turns"] == 7


def test_what_goes_wrong_in_making_it_is_raised_where_it_is_asked_for() -> None:
    stream = SnapshotStream({"turns": object()})
    with pytest.raises(Exception, match="not JSON serializable"):
        stream.next_piece(60.0)
    assert stream.next_piece() == b""


def whole() -> bytes:
    file = io.BytesIO()
    write_snapshot({"codes": np.arange(1000, dtype=np.uint8), "turns": 3}, file)
    return file.getvalue()


def with_member(name: str, content: bytes) -> bytes:
    file = io.BytesIO(whole())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def array_bytes(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


def claiming(shape: str) -> bytes:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


FOREIGN = {
    "empty": b"",
    "no archive": b"PK" + bytes(500),
    "torn": whole()[:-200],
    "flipped": bytes(b ^ 255 if i == 200 else b for i, b in enumerate(whole())),
    "a pickle": with_member("evil.npy", array_bytes(np.array([print], dtype=object), allow_pickle=True)),
    "a claim of a terabyte": with_member("huge.npy", claiming("(1000000000000,)")),
    "a negative size": with_member("negative.npy", claiming("(-5,)")),
    "no array": with_member("text.npy", b"hello"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_snapshot_is_refused_before_it_takes_memory_or_runs_anything(name: str) -> None:
    with pytest.raises(ValueError):
        read_snapshot(FOREIGN[name], LIMIT)


def test_no_more_is_unpacked_than_the_memory_holds() -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("codes.npy", array_bytes(np.zeros(50_000_000, np.uint8)))
        archive.writestr("plain.npy", array_bytes(np.frombuffer(json.dumps({}).encode(), np.uint8)))
    assert len(bomb.getvalue()) < 100_000
    with pytest.raises(ValueError, match="would unpack to"):
        read_snapshot(bomb.getvalue(), 10_000_000)
