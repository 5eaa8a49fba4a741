"""The learner as a Ray actor: the same training loop, in a process with reserved processors or a GPU."""

from __future__ import annotations

import dataclasses
import math
import os
import threading
import traceback
from collections import deque

from ray.util.metrics import Gauge

from retro_gamer.errors import EngineError, RetroGamerError, printable
from retro_gamer.run.events import Broadcast, Checkpoint, Failed, Progress, RunEvent, SnapshotPiece
from retro_gamer.training.learner_main import LearnerTask, run_learner
from retro_gamer.training.loop.backend import Backend
from retro_gamer.training.loop.end_conditions import StopRequest

LARGEST_BYTES = 256 * 1024 * 1024
"""The learner waits while more bytes than this are not collected, so memory is bounded while a link is cut."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NumberedEvent:
    """An event with its place in the queue."""

    number: int
    event: RunEvent

    @property
    def size_bytes(self) -> int:
        """The size of a checkpoint or a piece of a snapshot; all other events are small."""
        return len(self.event.data) if isinstance(self.event, (Checkpoint, SnapshotPiece)) else 0


class EventQueue:
    """Events in their order, numbered from 1. Collecting them again until they are confirmed changes nothing.

    So a supervisor that lost an answer on the way asks once more.
    """

    def __init__(self, largest_bytes: int = LARGEST_BYTES) -> None:
        self._events: deque[NumberedEvent] = deque()
        self._last = 0
        self._bytes = 0
        self._largest_bytes = largest_bytes
        self._changed = threading.Condition()

    def handle(self, event: RunEvent) -> None:
        """Add the event, once there is room. Of several `Progress` in a row only the newest stays."""
        with self._changed:
            self._changed.wait_for(lambda: self._bytes <= self._largest_bytes)
            self._last += 1
            numbered = NumberedEvent(number=self._last, event=event)
            if isinstance(event, Progress) and self._events and isinstance(self._events[-1].event, Progress):
                self._events.pop()
            self._events.append(numbered)
            self._bytes += numbered.size_bytes
            self._changed.notify_all()

    def collect(self, after: int, timeout_seconds: float) -> list[NumberedEvent]:
        """Drop the events up to number `after`, which confirms them, and return the others.

        Wait up to `timeout_seconds` while there are none.
        """
        with self._changed:
            while self._events and self._events[0].number <= after:
                self._bytes -= self._events.popleft().size_bytes
            self._changed.notify_all()
            self._changed.wait_for(lambda: bool(self._events), timeout_seconds)
            return list(self._events)


PREFIX = "retro_gamer_"
METRICS = {
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
"""Fields of `Progress` that are metrics, and their descriptions."""


def make_restart_gauge() -> Gauge:
    """Return the gauge that the supervisor sets."""
    return Gauge(f"{PREFIX}learner_restarts", description="Learners lost and replaced since the job began.")


class ProgressGauges:
    """Sets the gauges ``ray_retro_gamer_*`` to the numbers of each `Progress`."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._gauges = {name: Gauge(f"{PREFIX}{name}", description=text) for name, text in METRICS.items()}
        self._fill = Gauge(f"{PREFIX}replay_fill", description="Share of memory_capacity that turns have filled.")

    def handle(self, event: RunEvent) -> None:
        """Set the gauges; a number that is not known yet leaves its gauge unchanged."""
        if not isinstance(event, Progress):
            return
        for name, gauge in self._gauges.items():
            value = float(getattr(event, name))
            if math.isfinite(value):
                gauge.set(value)
        self._fill.set(min(1.0, event.replay_turns / self._capacity))


class LearnerProcess:
    """Trains in a thread and answers the supervisor meanwhile.

    Every event, the last one too, goes through one queue, so an answer that is lost on the way is asked for again.
    """

    def __init__(self) -> None:
        self._events = EventQueue()
        self._stop = StopRequest()
        self._thread: threading.Thread | None = None

    def begin(self, task: LearnerTask, backend: Backend) -> None:
        """Start training; do nothing if it has started."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._train, args=(task, backend), daemon=True)
            self._thread.start()

    def collect(self, after: int, timeout_seconds: float) -> list[NumberedEvent]:
        """Return the events after number `after`, which confirms those up to it."""
        return self._events.collect(after, timeout_seconds)

    def stop(self, signal_number: int) -> None:
        """End training with a checkpoint."""
        self._stop.make(signal_number)

    def _train(self, task: LearnerTask, backend: Backend) -> None:
        sink = Broadcast(ProgressGauges(task.run_spec.settings.memory_capacity), self._events)
        task = dataclasses.replace(task, run_spec=task.run_spec.located(os.getcwd()))
        try:
            self._events.handle(run_learner(task, sink, self._stop, backend))
        except RetroGamerError as error:
            self._events.handle(Failed(error))
        except Exception as error:  # a defect of ours: the supervisor must end with it, not wait for ever
            text = "".join(traceback.format_exception(error))
            self._events.handle(Failed(EngineError(printable(f"the learner failed:\n{text}"))))
