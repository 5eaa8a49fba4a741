"""The replay service: the replay memory of a run, its feature extraction and its snapshots."""

from __future__ import annotations

import numpy as np

from retro_gamer.features.extractor import FeatureBatch, make_extractor
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.replay.buffer import ReplayBuffer
from retro_gamer.replay.snapshot import SnapshotStream, read_snapshot
from retro_gamer.replay.transitions import Block
from retro_gamer.training.planning.run_spec import RunSpec

OVERHEAD_BYTES = 1024 * 1024
"""Allowed in a snapshot besides its arrays of transitions."""


class ReplayService:
    """The replay buffer of one run, in the learner's process or in one of its own.

    Snapshots are read and restored piece by piece, while training continues.
    """

    def __init__(self, run_spec: RunSpec, *, seed: int) -> None:
        self._run_spec = run_spec
        self._buffer = run_spec.make_replay(seed)
        self._extractor = make_extractor(run_spec.network)
        self._stream: SnapshotStream | None = None
        self._pieces: list[bytes] = []

    def push(self, block: Block) -> int:
        """Add a block; return the number of turns received so far."""
        return self._buffer.push(block)

    def sample(self, n_batches: int, batch_size: int, spec: NetworkSpec) -> list[FeatureBatch]:
        """Return batches with the features for a network of `spec`."""
        if spec != self._extractor.spec:
            self._extractor = make_extractor(spec)
        return [self._extractor.extract_batch(batch) for batch in self._buffer.sample(n_batches, batch_size)]

    def next_batch(self, wanted: int, spec: NetworkSpec) -> FeatureBatch:
        """Return one batch, sampled now."""
        return self.sample(1, self._run_spec.settings.batch_size, spec)[0]

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> int:
        """Set new errors; return how many of the transitions had been overwritten."""
        return self._buffer.update_priorities(ids, errors)

    def begin_snapshot(self, limit_bytes: int) -> None:
        """Copy the newest transitions that fit into `limit_bytes`. This replaces a snapshot that is not finished."""
        self._stream = SnapshotStream(self._buffer.get_state(limit_bytes))

    def next_piece(self, timeout_seconds: float) -> bytes | None:
        """Return the next piece of the snapshot, None if it is not ready in time, b"" after the last.

        Raises:
            MemoryError, OSError, ValueError: if the snapshot failed or was not begun.
        """
        if self._stream is None:
            raise ValueError("no snapshot was begun")
        piece = self._stream.next_piece(timeout_seconds)
        if piece == b"":
            self._stream = None
        return piece

    def add_piece(self, piece: bytes) -> None:
        """Add a piece of the snapshot to restore."""
        self._pieces.append(piece)

    def restore(self, snapshot: bytes, turns: int) -> int:
        """Restore the pieces added and `snapshot`, set the turns received; return the number of transitions.

        Raises:
            ValueError: if the snapshot is damaged or belongs to another run. The buffer does not change then.
        """
        data, self._pieces = b"".join([*self._pieces, snapshot]), []
        self._buffer.turns = turns
        try:
            if data:
                load_snapshot(self._buffer, data, self._run_spec)
        except ValueError:
            raise
        except Exception as error:  # numpy names none; training resumes with an empty memory, whatever is wrong
            raise ValueError(f"it is not a snapshot of replay memory ({type(error).__name__}: {error})") from error
        self._buffer.turns = turns
        return len(self._buffer)


def load_snapshot(buffer: ReplayBuffer, data: bytes, run_spec: RunSpec) -> None:
    """Load a snapshot into `buffer`, after checking its values against the network that will use them.

    Raises:
        Exception: a ValueError in most cases, if it is damaged or belongs to another run.
    """
    # A run with a larger memory may have written it; what does not fit here is left out.
    limit_bytes = buffer.memory_bytes + 1000 * 1000 * run_spec.settings.snapshot_megabytes + OVERHEAD_BYTES
    state = read_snapshot(data, limit_bytes)
    network = run_spec.network
    for name, largest in (("codes", network.n_characters), ("action", network.n_actions - 1), ("discounts", 1)):
        values = state[name]
        if values.size and (values.max() > largest or values.min() < 0):
            raise ValueError(f"its {name} range from {values.min()} to {values.max()}; 0 to {largest} is allowed")
    buffer.set_state(state)
