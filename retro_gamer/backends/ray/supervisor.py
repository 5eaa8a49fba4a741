"""The supervisor of a run on a cluster: it starts the learner, writes its events, and replaces it if it dies."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, NoReturn

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError

from retro_gamer.backends.ray.backends import ClusterBackend
from retro_gamer.backends.ray.learner_process import LearnerProcess, NumberedEvent, make_restart_gauge
from retro_gamer.backends.ray.placement import choose_resources, reserve
from retro_gamer.errors import EngineError, RetroGamerError, printable
from retro_gamer.games.loading.find import GameSource
from retro_gamer.run.events import EventSink, Failed, TrainingOutcome
from retro_gamer.training.learner_main import LearnerTask
from retro_gamer.training.loop.end_conditions import StopRequest
from retro_gamer.training.planning.allocation import ClusterOptions
from retro_gamer.training.preparation import Attempts

COLLECT_SECONDS = 0.5
ANSWER_SECONDS = 30.0
"""The supervisor asks again for an answer that takes longer."""
SILENCE_SECONDS = 300.0
"""A learner that has not answered for this long is given up, even if Ray does not report it dead."""


class _LearnerLostError(Exception):
    """The learner process is gone, or its workers were lost again and again; the text says why."""


class Supervisor:
    """Trains a run to its end, with up to `options.retries` restarts of the learner.

    game: where each node finds the game it was sent, relative to its working directory; None if it was sent none
    restarts: learners lost so far
    """

    def __init__(
        self,
        options: ClusterOptions,
        attempts: Attempts,
        game: GameSource | None,
        display: EventSink,
        stop: StopRequest,
    ) -> None:
        self._options = options
        self._attempts = attempts
        self._game = game
        self._display = display
        self._stop = stop
        self.restarts = 0

    def run(self) -> TrainingOutcome:
        """Train to the end.

        Raises:
            ClusterError: if no node has room for the learner.
            EngineError: if the learner was lost more often than `options.retries`.
            RetroGamerError: any other error that ended training in the learner.
        """
        restarts = make_restart_gauge()
        restarts.set(0)
        attempt = self._attempts.next()
        while True:
            try:
                with attempt.writer.open(self._display) as sink:
                    return self._run_learner(self._packed(attempt.task), sink)
            except _LearnerLostError as lost:
                self.restarts += 1
                restarts.set(self.restarts)
                if self.restarts > self._options.retries or self._stop.is_made:
                    if isinstance(lost.__cause__, EngineError):
                        raise lost.__cause__ from None
                    raise EngineError(
                        f"the learner was lost {self.restarts} times, the last time because {lost}.\n"
                        "Everything up to the last checkpoint is saved. Resume: --resume latest"
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

    def _run_learner(self, task: LearnerTask, sink: EventSink) -> TrainingOutcome:
        node_cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        resources = choose_resources(node_cpus, self._options.learner_cpus, self._options.gpus)
        with reserve(resources, self._options.wait_seconds, lambda: self._stop.is_made) as placement:
            learner: Any = ray.remote(LearnerProcess).options(**placement.learner).remote()
            try:
                backend = ClusterBackend(resources=resources, placement=placement)
                return self._receive(learner, learner.begin.remote(task, backend), sink)
            finally:
                ray.kill(learner)

    def _receive(self, learner: Any, begun: ray.ObjectRef[Any], sink: EventSink) -> TrainingOutcome:
        """Hand the learner's events to `sink` until the last one, and return how training ended."""
        number, stop_passed_on = 0, False
        last_answer = time.monotonic()
        while True:
            if self._stop.is_made and not stop_passed_on:
                learner.stop.remote(self._stop.signal_number)
                stop_passed_on = True
            try:
                events: list[NumberedEvent] = ray.get(
                    learner.collect.remote(number, COLLECT_SECONDS), timeout=ANSWER_SECONDS
                )
                last_answer = time.monotonic()
            except (ActorUnavailableError, GetTimeoutError) as error:  # a link is cut: events wait in the queue
                stop_passed_on = False
                if time.monotonic() - last_answer > SILENCE_SECONDS:
                    raise _LearnerLostError(f"it has not answered for {SILENCE_SECONDS:.0f} seconds") from error
                time.sleep(COLLECT_SECONDS)
                continue
            except RayError as error:
                raise _LearnerLostError(_explain_loss(error, begun)) from error
            for numbered in events:
                number, event = numbered.number, numbered.event
                if isinstance(event, TrainingOutcome):
                    return event
                if isinstance(event, Failed):
                    _raise(event.error)
                sink.handle(event)


def _raise(error: RetroGamerError) -> NoReturn:
    if isinstance(error, EngineError):
        raise _LearnerLostError(str(error).splitlines()[0]) from error
    raise error


def _explain_loss(error: RayError, begun: ray.ObjectRef[Any]) -> str:
    """Return in one line why the learner died; if its start failed, why that did."""
    try:
        ray.get(begun, timeout=0)
    except GetTimeoutError:
        pass
    except RayError as failed:
        error = failed
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = "its process or node died" if isinstance(error, RayActorError) else type(error).__name__
    return printable(f"{kind}: {lines[-1] if lines else ''}"[:300])
