"""How torch computes in this process: on how many threads, and whether with the tiniest numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


def set_threads(n_threads: int) -> None:
    """Let torch use `n_threads` threads for one operation from now on."""
    torch.set_num_threads(max(1, n_threads))


@contextlib.contextmanager
def tiny_numbers_are_zero() -> Iterator[None]:
    """Let this thread take numbers below 1e-38 (denormal ones) for 0 until the end of the block.

    Moments of weights whose gradient stays 0 decay into that range, where arithmetic takes more than twice as long.
    A game that is played in the same thread is not to be touched by it.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
