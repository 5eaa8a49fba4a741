"""The learner and its networks. Only this package imports torch, and this file only when a function needs it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

# torch reads this when it is imported. Otherwise its threads spin while they wait for each other, and where others use
# the cores too (a class on one server, a browser beside the training) spinning slows down the thread waited for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def set_threads(n_threads: int) -> None:
    """Let torch use `n_threads` threads for one operation from now on."""
    import torch

    torch.set_num_threads(max(1, n_threads))


@contextlib.contextmanager
def tiny_numbers_are_zero() -> Iterator[None]:
    """Treat numbers below 1e-38 (denormal ones) as 0 in this thread until the end of the block.

    Moments of weights whose gradient stays 0 decay into that range, where arithmetic takes more than twice as long.
    A game played in the same thread must not be affected.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
