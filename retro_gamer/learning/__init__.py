"""What learns: network, losses, actor and learner. Every import of torch is here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

# Read when torch is first imported. Its threads otherwise spin while they wait for each other, and where the cores are
# shared (a class on one server, a browser beside the training) spinning takes from the very thread waited for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def set_threads(n_threads: int) -> None:
    """Let torch use `n_threads` threads for one operation from now on."""
    import torch

    torch.set_num_threads(max(1, n_threads))


@contextlib.contextmanager
def tiny_numbers_are_zero() -> Iterator[None]:
    """Let this thread take numbers below 1e-38 (denormal ones) for 0 until the end of the block.

    Moments of weights whose gradient stays 0 decay into that range, where arithmetic takes more than twice as long.
    A game that is played in the same thread is not to be touched by it.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
