"""The supervisor of a run on a cluster: it starts the learner, writes what that sends, and replaces it if it dies."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError

from retro_gamer.backends.ray.backends import ClusterBackend
from retro_gamer.backends.ray.learner_process import LearnerProcess, Message, deliver, make_restart_gauge
from retro_gamer.backends.ray.placement import Reservation, choose_resources
from retro_gamer.errors import EngineError, printable
from retro_gamer.games.loading.find import GameSource
from retro_gamer.run.writer import RunWriter, patience
from retro_gamer.training.learner_main import LearnerTask, TrainingOutcome
from retro_gamer.training.loop.end_conditions import StopRequest
from retro_gamer.training.loop.progress import Reporter
from retro_gamer.training.planning.allocation import ClusterOptions
from retro_gamer.training.preparation import Attempts

COLLECT_SECONDS = 0.5
ANSWER_SECONDS = 30.0
"""An answer that takes longer is asked for again."""
SILENCE_SECONDS = 300.0
"""A learner that Ray does not call dead and that has not answered for so long is given up."""


class _LearnerLostError(Exception):
    """The learner's process is gone, or its replay was lost again and again; the text says why."""


class Supervisor:
    """Runs one training to its end over as many learners as `options.retries` allows.

    `game` is where each node finds the game that it was sent, relative to its working directory; None if it was not.
    """

    def __init__(
        self,
        options: ClusterOptions,
        attempts: Attempts,
        game: GameSource | None,
        reporter: Reporter,
        stop: StopRequest,
    ) -> None:
        self._options = options
        self._attempts = attempts
        self._game = game
        self._reporter = reporter
        self._stop = stop
        self.restarts = 0

    def run(self) -> TrainingOutcome:
        """Train to the end.

        Raises:
            ClusterError: if there is no place for the learner.
            EngineError: if more learners were lost than may be.
            RetroGamerError: what ended the training in the learner itself.
        """
        restarts = make_restart_gauge()
        restarts.set(0)
        attempt = self._attempts.next()
        while True:
            try:
                with patience(attempt.writer, self._reporter.note) as writer:
                    return self._run_learner(self._packed(attempt.task), writer)
            except _LearnerLostError as lost:
                self.restarts += 1
                restarts.set(self.restarts)
                if self.restarts > self._options.retries or self._stop.is_made:
                    if isinstance(lost.__cause__, EngineError):
                        raise lost.__cause__ from None
                    raise EngineError(
                        f"the learner was lost ({lost}), for the {self.restarts}. time.\n"
                        "What was finished is kept. Go on with: --resume latest"
                    ) from lost
                attempt = self._attempts.next()
                remark = (
                    f"The learner was lost ({lost}). Resuming from episode {attempt.task.start.episodes}, "
                    f"restart {self.restarts} of {self._options.retries}."
                )
                task = dataclasses.replace(attempt.task, remarks=(remark, *attempt.task.remarks))
                attempt = dataclasses.replace(attempt, task=task)

    def _packed(self, task: LearnerTask) -> LearnerTask:
        """Return the task with the game where each node unpacks it."""
        return dataclasses.replace(task, run_spec=dataclasses.replace(task.run_spec, source=self._game))

    def _run_learner(self, task: LearnerTask, writer: RunWriter) -> TrainingOutcome:
        node_cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        resources = choose_resources(node_cpus, self._options.learner_cpus, self._options.gpus)
        with Reservation(resources, self._options.wait_seconds, lambda: self._stop.is_made) as reservation:
            learner: Any = ray.remote(LearnerProcess).options(**reservation.learner).remote()
            try:
                backend = ClusterBackend(resources=resources, placement=reservation.placement)
                return self._attend(learner, learner.begin.remote(task, backend), writer)
            finally:
                ray.kill(learner)

    def _attend(self, learner: Any, begun: ray.ObjectRef[Any], writer: RunWriter) -> TrainingOutcome:
        """Write and show what the learner sends until it sends its end."""
        taken, stop_passed_on = 0, False
        heard = time.monotonic()
        while True:
            if self._stop.is_made and not stop_passed_on:
                learner.stop.remote(self._stop.signal_number)
                stop_passed_on = True
            try:
                messages: list[Message] = ray.get(
                    learner.collect.remote(taken, COLLECT_SECONDS), timeout=ANSWER_SECONDS
                )
                heard = time.monotonic()
            except (ActorUnavailableError, GetTimeoutError) as error:  # a link is cut: what is unsent waits there
                stop_passed_on = False
                if time.monotonic() - heard > SILENCE_SECONDS:
                    raise _LearnerLostError(f"it has not answered for {SILENCE_SECONDS:.0f} seconds") from error
                time.sleep(COLLECT_SECONDS)
                continue
            except RayError as error:
                raise _LearnerLostError(self._say(error, begun)) from error
            for message in messages:
                taken = message.number
                if message.target == "end":
                    return _end(message)
                deliver(message, writer, self._reporter)

    def _say(self, error: RayError, begun: ray.ObjectRef[Any]) -> str:
        """Return in a line why the learner died, from its own start if it failed there."""
        try:
            ray.get(begun, timeout=0)
        except GetTimeoutError:
            pass
        except RayError as failed:
            error = failed
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        kind = "its process or node died" if isinstance(error, RayActorError) else type(error).__name__
        return printable(f"{kind}: {lines[-1] if lines else ''}"[:300])


def _end(message: Message) -> TrainingOutcome:
    (end,) = message.arguments
    if isinstance(end, TrainingOutcome):
        return end
    if isinstance(end, EngineError):
        raise _LearnerLostError(str(end).splitlines()[0]) from end
    raise end
