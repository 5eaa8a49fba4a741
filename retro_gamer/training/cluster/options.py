"""What a user asks of a cluster."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Where the cluster is, and what a training may take of it."""

    address: str
    learner_cpus: int | None = None
    """None for half of the largest node, at most 4, and 1 with a GPU."""
    gpus: int = 0
    """GPUs for the learner."""
    retries: int = 3
    """How often a learner that was lost is replaced."""
    wait_seconds: float = 300.0
    """How long to wait for a node with room for the learner."""
