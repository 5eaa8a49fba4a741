"""The learner as a Ray actor: the same training loop, in a process that has processors or a GPU reserved."""

from __future__ import annotations

import dataclasses
import os
import threading
import traceback

from retro_gamer.backends.local import Site
from retro_gamer.errors import EngineError, RetroGamerError, printable
from retro_gamer.training.learner_main import LearnerTask, run_learner
from retro_gamer.training.loop.end_conditions import StopRequest
from retro_gamer.training.ray.mailbox import Mailbox, MailedReporter, MailedWriter, Message
from retro_gamer.training.ray.metrics import MeteredReporter


class LearnerProcess:
    """Trains in the background and answers its supervisor meanwhile.

    All it has to say, its end too, goes through one mailbox: an answer that is lost on the way is asked for again.
    """

    def __init__(self) -> None:
        self._mailbox = Mailbox()
        self._stop = StopRequest()
        self._thread: threading.Thread | None = None

    def begin(self, task: LearnerTask, site: Site) -> None:
        """Start training; asked a second time, do nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._train, args=(task, site), daemon=True)
            self._thread.start()

    def collect(self, after: int, timeout_seconds: float) -> list[Message]:
        """Return the messages after number `after`, which confirms those up to it."""
        return self._mailbox.collect(after, timeout_seconds)

    def stop(self, signal_number: int) -> None:
        """End training with a checkpoint."""
        self._stop.make(signal_number)

    def _train(self, task: LearnerTask, site: Site) -> None:
        reporter = MeteredReporter(MailedReporter(self._mailbox), capacity=task.settings.memory_capacity)
        located = task.source.located(os.getcwd()) if task.source is not None else None
        try:
            outcome = run_learner(
                dataclasses.replace(task, source=located), MailedWriter(self._mailbox), reporter, self._stop, site
            )
            self._mailbox.put("end", "outcome", outcome)
        except RetroGamerError as error:
            self._mailbox.put("end", "error", error)
        except Exception as error:  # a fault of ours: the supervisor is to end with it, not to wait for ever
            text = "".join(traceback.format_exception(error))
            self._mailbox.put("end", "error", EngineError(printable(f"the learner failed:\n{text}")))
