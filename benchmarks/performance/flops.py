"""Floating-point operations of one update, and the time that this machine's arithmetic would need for them."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from retro_gamer.learning.learner import Learner
from retro_gamer.learning.networks.base import QNetwork, to_tensors
from retro_gamer.replay.transitions import Batch


def count_update_flops(learner: Learner, batch: Batch) -> int:
    """Return the operations of one update as torch counts them: matrix products and convolutions, both directions.

    A multiplication and an addition are two operations. What is no matrix product (activations, the optimizer) is
    left out: it is less than a hundredth of the operations, though not of the time.
    """
    return count_flops(lambda: learner.update(batch))


def count_forward_flops(network: QNetwork, batch: Batch) -> int:
    """Return the operations of one forward pass over the states of a batch."""
    features = to_tensors(network.extractor.extract(batch.codes, batch.player, batch.state), "cpu")
    with torch.no_grad():
        return count_flops(lambda: network(features))


def count_flops(run: Any) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())
