"""What each role asks of Ray, and where it is put."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """Options of Ray for the processes that the learner starts."""

    replay: Mapping[str, Any]
    actor: Mapping[str, Any]


THIS_MACHINE = Placement(replay={"num_cpus": 0}, actor={"num_cpus": 1})
"""Replay shares the learner's processor, whose batches it makes while the learner waits for them."""
