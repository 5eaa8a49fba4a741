"""The replay memory of a run and its snapshots, as both runtimes hold it."""

from __future__ import annotations

import numpy as np

from retro_gamer.features.extractor import FeatureBatch, make_extractor
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.replay.buffer import ReplayBuffer
from retro_gamer.replay.snapshot import SnapshotStream, read_snapshot
from retro_gamer.replay.transitions import Block
from retro_gamer.training.planning.run_spec import RunSpec

OVERHEAD_BYTES = 1024 * 1024
"""What a snapshot may hold besides its arrays of experiences."""


class ReplayService:
    """The replay buffer of one run. It can be copied out piece by piece while it goes on, and put back."""

    def __init__(self, run_spec: RunSpec, *, seed: int) -> None:
        self._run_spec = run_spec
        self._buffer = run_spec.make_replay(seed)
        self._extractor = make_extractor(run_spec.network)
        self._stream: SnapshotStream | None = None
        self._pieces: list[bytes] = []

    def push(self, block: Block) -> int:
        """Take a block; return the turns received in all."""
        return self._buffer.push(block)

    def sample(self, n_batches: int, batch_size: int, spec: NetworkSpec) -> list[FeatureBatch]:
        """Return batches with the features for a network of `spec`."""
        if spec != self._extractor.spec:
            self._extractor = make_extractor(spec)
        return [self._extractor.extract_batch(batch) for batch in self._buffer.sample(n_batches, batch_size)]

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> int:
        """Take the errors of records; return how many were overwritten since and dropped."""
        return self._buffer.update_priorities(ids, errors)

    def begin_snapshot(self, limit_bytes: int) -> int:
        """Copy the newest experiences as they are now; return how many. A copy that was under way is forgotten."""
        state = self._buffer.get_state(limit_bytes)
        self._stream = SnapshotStream(state)
        return len(state["first"])

    def next_piece(self, timeout_seconds: float) -> bytes | None:
        """Return the next piece of the copy, None if it is not ready in time, or b"" after the last.

        Raises:
            MemoryError, OSError, ValueError: if the copy could not be made, or there is none.
        """
        if self._stream is None:
            raise ValueError("no snapshot was begun")
        piece = self._stream.next_piece(timeout_seconds)
        if piece == b"":
            self._stream = None
        return piece

    def add_piece(self, piece: bytes) -> None:
        """Take a piece of a snapshot that is to be put back."""
        self._pieces.append(piece)

    def restore(self, turns: int) -> int:
        """Put back the snapshot whose pieces were added, if any, count from `turns` on, return the experiences held.

        Raises:
            ValueError: if it is damaged or does not fit this run; what is held stays then.
        """
        data, self._pieces = b"".join(self._pieces), []
        self._buffer.turns = turns
        try:
            if data:
                load_snapshot(self._buffer, data, self._run_spec)
        except (KeyError, TypeError, OverflowError, AttributeError) as error:  # fields that are missing or senseless
            raise ValueError(f"it is no snapshot of a memory ({type(error).__name__}: {error})") from error
        self._buffer.turns = turns
        return len(self._buffer)


def load_snapshot(buffer: ReplayBuffer, data: bytes, run_spec: RunSpec) -> None:
    """Let `buffer` go on from a snapshot, whose values are checked against the network that will meet them.

    Raises:
        ValueError, KeyError, TypeError, OverflowError, AttributeError: if it is damaged or does not fit.
    """
    # A snapshot may come from a run with a larger memory; what does not fit here is then left out.
    limit_bytes = buffer.memory_bytes + 1000 * 1000 * run_spec.settings.snapshot_megabytes + OVERHEAD_BYTES
    state = read_snapshot(data, limit_bytes)
    characters = run_spec.network.n_characters
    for name, largest in (("codes", characters), ("action", run_spec.network.n_actions - 1), ("discounts", 1)):
        values = state[name]
        if values.size and (values.max() > largest or values.min() < 0):
            raise ValueError(
                f"its {name} reach from {values.min()} to {values.max()}, and 0 to {largest} is known here"
            )
    buffer.set_state(state)
