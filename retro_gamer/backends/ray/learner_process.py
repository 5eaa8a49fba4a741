"""The learner as a Ray actor: the same training loop, in a process that has processors or a GPU reserved."""

from __future__ import annotations

import dataclasses
import math
import os
import threading
import traceback
from collections import deque
from typing import Any, Literal

from ray.util.metrics import Gauge

from retro_gamer.errors import EngineError, RetroGamerError, printable
from retro_gamer.run.log import EpisodeLine
from retro_gamer.run.writer import RunWriter
from retro_gamer.training.learner_main import LearnerTask, run_learner
from retro_gamer.training.loop.backend import Backend
from retro_gamer.training.loop.end_conditions import StopRequest
from retro_gamer.training.loop.progress import Progress, Reporter

LARGEST_BYTES = 256 * 1024 * 1024
"""Above so many bytes that nobody took, the learner waits: memory is bounded while a link is cut."""

Target = Literal["writer", "reporter", "end"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Message:
    """One call that waits to be made: on the writer, on the reporter, or the end with its outcome or error."""

    number: int
    target: Target
    method: str
    arguments: tuple[Any, ...]

    @property
    def size_bytes(self) -> int:
        """What its bytes weigh; all else is small."""
        return sum(len(argument) for argument in self.arguments if isinstance(argument, bytes))


class Mailbox:
    """Messages in order, each numbered from 1. Taking them again until they are confirmed changes nothing.

    So a supervisor that lost an answer on the way asks once more.
    """

    def __init__(self, largest_bytes: int = LARGEST_BYTES) -> None:
        self._messages: deque[Message] = deque()
        self._last = 0
        self._bytes = 0
        self._largest_bytes = largest_bytes
        self._changed = threading.Condition()

    def put(self, target: Target, method: str, *arguments: Any) -> None:
        """Add a message. Only the newest of several figures of progress in a row is kept."""
        with self._changed:
            self._changed.wait_for(lambda: self._bytes <= self._largest_bytes)
            self._last += 1
            message = Message(number=self._last, target=target, method=method, arguments=arguments)
            if method == "progress" and self._messages and self._messages[-1].method == "progress":
                self._messages.pop()
            self._messages.append(message)
            self._bytes += message.size_bytes
            self._changed.notify_all()

    def collect(self, after: int, timeout_seconds: float) -> list[Message]:
        """Forget the messages up to number `after` and return the others; wait at most so long for there to be any."""
        with self._changed:
            while self._messages and self._messages[0].number <= after:
                self._bytes -= self._messages.popleft().size_bytes
            self._changed.notify_all()
            self._changed.wait_for(lambda: bool(self._messages), timeout_seconds)
            return list(self._messages)


class MailedWriter:
    """Writes by message."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def begin(self, text: str) -> None:
        """Send the description."""
        self._mailbox.put("writer", "begin", text)

    def write_episode(self, line: EpisodeLine) -> None:
        """Send the line."""
        self._mailbox.put("writer", "write_episode", line)

    def write_note(self, text: str) -> None:
        """Send the remark."""
        self._mailbox.put("writer", "write_note", text)

    def write_checkpoint(self, name: str, data: bytes) -> None:
        """Send the checkpoint."""
        self._mailbox.put("writer", "write_checkpoint", name, data)

    def write_characters(self, characters: tuple[str, ...]) -> None:
        """Send the character set."""
        self._mailbox.put("writer", "write_characters", characters)

    def begin_snapshot(self, name: str) -> None:
        """Send the name."""
        self._mailbox.put("writer", "begin_snapshot", name)

    def add_snapshot_piece(self, piece: bytes) -> None:
        """Send the piece."""
        self._mailbox.put("writer", "add_snapshot_piece", piece)

    def commit_snapshot(self) -> None:
        """Send word that it is whole."""
        self._mailbox.put("writer", "commit_snapshot")

    def discard_snapshot(self) -> None:
        """Send word that it is to be forgotten."""
        self._mailbox.put("writer", "discard_snapshot")


class MailedReporter:
    """Reports by message."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def begin(self, text: str) -> None:
        """Send the description."""
        self._mailbox.put("reporter", "begin", text)

    def progress(self, progress: Progress) -> None:
        """Send the figures."""
        self._mailbox.put("reporter", "progress", progress)

    def note(self, text: str) -> None:
        """Send the remark."""
        self._mailbox.put("reporter", "note", text)

    def close(self) -> None:
        """Do nothing: the display is the supervisor's."""


def deliver(message: Message, writer: RunWriter, reporter: Reporter) -> None:
    """Make the call that a message stands for."""
    target = {"writer": writer, "reporter": reporter}[message.target]
    getattr(target, message.method)(*message.arguments)


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


class MetricsReporter:
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


class LearnerProcess:
    """Trains in the background and answers its supervisor meanwhile.

    All it has to say, its end too, goes through one mailbox: an answer that is lost on the way is asked for again.
    """

    def __init__(self) -> None:
        self._mailbox = Mailbox()
        self._stop = StopRequest()
        self._thread: threading.Thread | None = None

    def begin(self, task: LearnerTask, backend: Backend) -> None:
        """Start training; asked a second time, do nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._train, args=(task, backend), daemon=True)
            self._thread.start()

    def collect(self, after: int, timeout_seconds: float) -> list[Message]:
        """Return the messages after number `after`, which confirms those up to it."""
        return self._mailbox.collect(after, timeout_seconds)

    def stop(self, signal_number: int) -> None:
        """End training with a checkpoint."""
        self._stop.make(signal_number)

    def _train(self, task: LearnerTask, backend: Backend) -> None:
        reporter = MetricsReporter(MailedReporter(self._mailbox), capacity=task.run_spec.settings.memory_capacity)
        task = dataclasses.replace(task, run_spec=task.run_spec.located(os.getcwd()))
        try:
            outcome = run_learner(task, MailedWriter(self._mailbox), reporter, self._stop, backend)
            self._mailbox.put("end", "outcome", outcome)
        except RetroGamerError as error:
            self._mailbox.put("end", "error", error)
        except Exception as error:  # a fault of ours: the supervisor is to end with it, not to wait for ever
            text = "".join(traceback.format_exception(error))
            self._mailbox.put("end", "error", EngineError(printable(f"the learner failed:\n{text}")))
