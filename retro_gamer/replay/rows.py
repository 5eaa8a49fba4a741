"""The observations of replay, each kept once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retro_gamer.replay.ring import read_ring, write_ring


class ObservationRows:
    """A ring of observations. A row is named by the count of rows ever written before it.

    Untouched pages of the arrays cost no memory, so a large ring is free until it is filled.
    """

    def __init__(self, size: int, height: int, width: int, n_state: int) -> None:
        self.size = size
        self.written = 0
        self.codes = np.zeros((size, height, width), np.uint8)
        self.player = np.zeros((size, 2), np.int16)
        self.state = np.zeros((size, n_state), np.float32)

    @property
    def oldest(self) -> int:
        """The first row that may still be read; all before it were overwritten."""
        return max(0, self.written - self.size)

    @property
    def memory_bytes(self) -> int:
        """Bytes of a full ring."""
        return self.codes.nbytes + self.player.nbytes + self.state.nbytes

    def append(
        self, codes: npt.NDArray[np.uint8], player: npt.NDArray[np.int16], state: npt.NDArray[np.float32]
    ) -> int:
        """Write rows [R, H, W], [R, 2] and [R, S] over the oldest ones and return the name of the first.

        Raises:
            ValueError: as `check_fit`; nothing is written then.
        """
        self.check_fit(codes, player, state)
        start = self.written
        write_ring(self.codes, start, codes)
        write_ring(self.player, start, player)
        write_ring(self.state, start, state)
        self.written += len(codes)
        return start

    def check_fit(
        self, codes: npt.NDArray[np.uint8], player: npt.NDArray[np.int16], state: npt.NDArray[np.float32]
    ) -> None:
        """Return if the rows are of this memory's board and number of state values.

        Raises:
            ValueError: if they are not.
        """
        for name, rows in (("codes", codes), ("player", player), ("state", state)):
            ours = getattr(self, name)
            if rows.shape != (len(codes), *ours.shape[1:]) or rows.dtype != ours.dtype:
                raise ValueError(
                    f"{name} {rows.shape} {rows.dtype} do not fit a memory of rows {ours.shape[1:]} {ours.dtype}"
                )

    def places(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Return where the ring keeps `rows`."""
        return (rows % self.size).astype(np.int32)

    def names(self, places: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Return the rows that the ring keeps at `places`."""
        return self.oldest + (places.astype(np.int64) - self.oldest) % self.size

    def take(
        self, places: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16], npt.NDArray[np.float32]]:
        """Return copies of the codes, players and states at `places`, of its shape and theirs."""
        return self.codes.take(places, axis=0), self.player.take(places, axis=0), self.state.take(places, axis=0)

    def read(
        self, start: int, stop: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16], npt.NDArray[np.float32]]:
        """Return copies of the codes, players and states of rows start, ..., stop - 1."""
        return (
            read_ring(self.codes, start, stop),
            read_ring(self.player, start, stop),
            read_ring(self.state, start, stop),
        )
