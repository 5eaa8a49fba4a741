"""What each role asks of Ray, and where it is put."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

MOST_LEARNER_CPUS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """Options of Ray for the processes that the learner starts."""

    replay: Mapping[str, Any]
    actor: Mapping[str, Any]


THIS_MACHINE = Placement(replay={"num_cpus": 0}, actor={"num_cpus": 1})
"""Replay shares the learner's processor, whose batches it makes while the learner waits for them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """What the learner and replay reserve together on one node."""

    learner_cpus: int
    replay_cpus: int
    learner_gpus: int = 0

    def describe(self) -> str:
        """Return the requests of all roles in a sentence for the log."""
        gpus = f" and {self.learner_gpus} GPU" if self.learner_gpus else ""
        return (
            f"Reserved on one node: {self.learner_cpus} CPU{gpus} for the learner, {self.replay_cpus} CPU for replay; "
            "1 CPU for each actor, spread over the nodes; none for the supervisor."
        )

    @property
    def bundle(self) -> dict[str, float]:
        """The reservation as Ray takes it."""
        cpus = {"CPU": float(self.learner_cpus + self.replay_cpus)}
        return {**cpus, "GPU": float(self.learner_gpus)} if self.learner_gpus else cpus


def choose_resources(node_cpus: Sequence[int], learner_cpus: int | None, gpus: int) -> Resources:
    """Return what to reserve on nodes of so many CPUs.

    Without a wish the learner has half of the largest node, at most 4 CPUs, and 1 where a GPU does its work. Replay has
    a CPU of its own beside it, unless no node has two or it would be the last, which an actor needs.
    """
    largest = max(node_cpus, default=1)
    usual = 1 if gpus else max(1, min(MOST_LEARNER_CPUS, largest // 2))
    wanted = usual if learner_cpus is None else learner_cpus
    takes_the_last = sum(node_cpus) == wanted + 1
    return Resources(learner_cpus=wanted, replay_cpus=0 if largest < 2 or takes_the_last else 1, learner_gpus=gpus)
