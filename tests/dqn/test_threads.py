from __future__ import annotations

import torch

from retro_gamer.dqn.threads import set_threads


def test_set_threads_sets_at_least_one() -> None:
    set_threads(2)
    assert torch.get_num_threads() == 2
    set_threads(0)
    assert torch.get_num_threads() == 1
