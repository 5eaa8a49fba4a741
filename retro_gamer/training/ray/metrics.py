"""The figures of a run as metrics of Ray, for the cluster's Prometheus."""

from __future__ import annotations

import math

from ray.util.metrics import Gauge

from retro_gamer.training.loop.progress import Progress, Reporter

PREFIX = "retro_gamer_"
FIGURES = {
    "episodes": "Episodes completed since the run began.",
    "turns": "Turns played since the run began.",
    "updates": "Updates done since the run began.",
    "turns_per_second": "Turns played per second, over the last ten seconds.",
    "updates_per_second": "Updates done per second, over the last ten seconds.",
    "mean_reward": "Mean total reward of the last 100 episodes.",
    "epsilon": "Share of random actions.",
    "loss": "Mean loss of the latest updates.",
    "turns_per_update": "Turns per update achieved.",
    "target_turns_per_update": "Turns per update wanted (train_every).",
    "n_actors": "Actor processes of the plan.",
    "present_actors": "Actors that have a place on some node.",
    "lost_actors": "Actors lost and replaced since this learner began.",
    "policy_lag_updates": "Updates between the weights an actor played with and those at its report; the latest.",
    "learner_wait_share": "Share of the learner's time spent waiting for turns or batches.",
    "actor_wait_share": "Share of the actors' time spent without a grant.",
}
"""Fields of Progress that are shown, and what they mean."""


def make_restart_gauge() -> Gauge:
    """Return the gauge of the supervisor, which is the only one to know."""
    return Gauge(f"{PREFIX}learner_restarts", description="Learners lost and replaced since the job began.")


class MeteredReporter:
    """Sets the gauges ``ray_retro_gamer_*`` and passes everything on."""

    def __init__(self, reporter: Reporter, *, capacity: int) -> None:
        self._reporter = reporter
        self._capacity = capacity
        self._gauges = {name: Gauge(f"{PREFIX}{name}", description=text) for name, text in FIGURES.items()}
        self._fill = Gauge(f"{PREFIX}replay_fill", description="Share of memory_capacity that turns have filled.")

    def begin(self, text: str) -> None:
        """Pass the description on."""
        self._reporter.begin(text)

    def progress(self, progress: Progress) -> None:
        """Set the gauges; a figure there is none of yet leaves its gauge as it is."""
        for name, gauge in self._gauges.items():
            value = float(getattr(progress, name))
            if math.isfinite(value):
                gauge.set(value)
        self._fill.set(min(1.0, progress.replay_turns / self._capacity))
        self._reporter.progress(progress)

    def note(self, text: str) -> None:
        """Pass the remark on."""
        self._reporter.note(text)

    def close(self) -> None:
        """Close what is reported to."""
        self._reporter.close()
