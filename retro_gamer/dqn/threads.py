"""How many threads torch may use in this process."""

from __future__ import annotations

import torch


def set_threads(n_threads: int) -> None:
    """Let torch use `n_threads` threads for one operation from now on."""
    torch.set_num_threads(max(1, n_threads))
