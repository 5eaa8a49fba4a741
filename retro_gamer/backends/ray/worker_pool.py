"""Actors and replay in processes of their own, and what is asked of them and received from them."""

from __future__ import annotations

import pickle
import shutil
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError, RayTaskError

from retro_gamer.acting.actor import Grant
from retro_gamer.backends.ray.actor_process import REPORTS_PREFIX, ActorProcess, CrashReport
from retro_gamer.backends.ray.placement import THIS_MACHINE, ActorWait, Placement
from retro_gamer.backends.ray.ray_processes import RayProcesses
from retro_gamer.backends.replay_service import ReplayService
from retro_gamer.errors import EngineError, GameFailedError, GameNotFoundError, UsageError, first_line, printable
from retro_gamer.features.extractor import FeatureBatch
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.games.loading.sandbox import make_locked_folder
from retro_gamer.learning.inference import Weights
from retro_gamer.replay.snapshot import PIECE_BYTES
from retro_gamer.training.loop.backend import ActorLost, GrantReported, ReplayLost, WorkerEvent, WorkerRemark
from retro_gamer.training.planning.allocation import Allocation
from retro_gamer.training.planning.run_spec import RunSpec

BATCHES_PER_REQUEST = 16
REQUESTS_AHEAD = 2
PRIORITY_UPDATES_PER_MESSAGE = 16
ANSWER_SECONDS = 25.0
"""Updates are put off when replay takes longer, so that progress and a stop request are handled."""
SILENCE_SECONDS = 45.0
"""A process that has not answered for this long is mentioned."""


class RayReplay:
    """The replay process. Batches are requested before they are needed, errors are sent several batches at a time.

    A replay process that dies is replaced by an empty one, and reported as lost.
    """

    def __init__(
        self, run_spec: RunSpec, shared_spec: ray.ObjectRef[Any], options: Any, engine: RayProcesses, *, seed: int
    ) -> None:
        self._engine = engine
        self._shared_spec = shared_spec
        self._options = options
        self._seed = seed
        self._batch_size = run_spec.settings.batch_size
        self.process = self._start()
        self.turns = 0
        """Turns that replay is known to have received."""
        self.events: list[ReplayLost] = []
        """Losses that have not been reported yet."""
        self.silent_seconds = 0.0
        self._network = run_spec.network
        self._requests: deque[tuple[ray.ObjectRef[Any], int]] = deque()
        self._batches: deque[FeatureBatch] = deque()
        self._accepts_errors = True
        self._errors: list[tuple[np.ndarray, np.ndarray]] = []
        self._piece: ray.ObjectRef[Any] | None = None

    def _start(self) -> Any:
        process: Any = ray.remote(ReplayService).options(**self._options)
        return process.remote(self._shared_spec, seed=self._seed)

    def next_batch(self, wanted: int, spec: NetworkSpec) -> FeatureBatch | None:
        """Return the next batch and request more, at most `wanted` in all.

        Return None if replay does not answer, or was lost: the new one is empty, and is not sampled before the loss has
        been reported.
        """
        if self.events:
            return None
        if spec != self._network:  # the network has grown: batches with features for the smaller one are useless
            self._network = spec
            self._requests.clear()
            self._batches.clear()
        if len(self._errors) >= PRIORITY_UPDATES_PER_MESSAGE:
            self._send_errors()
        self._request(wanted)
        if not self._batches:
            self._batches.extend(self._receive(self._requests[0][0]))
        return self._batches.popleft() if self._batches else None

    def _request(self, wanted: int) -> None:
        coming = len(self._batches) + sum(count for _, count in self._requests)
        while coming < wanted and len(self._requests) < REQUESTS_AHEAD:
            self._engine.check()
            count = min(BATCHES_PER_REQUEST, wanted - coming)
            self._requests.append((self.process.sample.remote(count, self._batch_size, self._network), count))
            coming += count

    def _receive(self, reference: ray.ObjectRef[Any]) -> list[FeatureBatch]:
        """Return the batches of the first request, none if replay was lost or has not answered yet."""
        try:
            batches: list[FeatureBatch] = ray.get(reference, timeout=ANSWER_SECONDS)
        except GetTimeoutError:
            self._engine.check()
            self.silent_seconds += ANSWER_SECONDS
            return []
        except RayTaskError as error:
            raise EngineError(f"replay failed: {type(error.cause).__name__}: {first_line(error.cause)}") from error
        except RayError as error:
            self.replace(error)
            return []
        self._accepts_errors = True
        self.silent_seconds = 0.0
        self._requests.popleft()
        return batches

    def replace(self, error: RayError) -> None:
        """Start an empty replay in place of one that was lost. Its loss may be noticed several times.

        Raises:
            EngineLostError: if it was lost because Ray ended.
        """
        self._engine.check()
        lost = getattr(error, "actor_id", None)
        if lost is not None and lost != self.process._actor_id.hex():
            return
        ray.kill(self.process)
        self.process = self._start()
        self.process.restore.remote(b"", self.turns)
        self._requests.clear()
        self._batches.clear()
        self._errors, self._accepts_errors, self._piece = [], False, None
        self.events.append(ReplayLost(reason=first_line(error)))

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> None:
        """Keep the errors until there are enough for a message. The transitions of a lost replay are gone."""
        if self._accepts_errors:
            self._errors.append((ids, errors))

    def _send_errors(self) -> None:
        ids, errors = (np.concatenate(arrays) for arrays in zip(*self._errors, strict=True))
        self._errors = []
        self.process.update_priorities.remote(ids, errors)

    def begin_snapshot(self, limit_bytes: int) -> None:
        """Let replay copy its newest transitions."""
        self._engine.check()
        self._piece = None
        self.process.begin_snapshot.remote(limit_bytes)

    def next_piece(self, timeout_seconds: float) -> bytes | None:
        """Return the next piece of the snapshot, None if it has not arrived in time."""
        self._engine.check()
        if self._piece is None:
            self._piece = self.process.next_piece.remote(0.0)
        ready, _ = ray.wait([self._piece], timeout=timeout_seconds)
        if not ready:
            return None
        self._piece = None
        try:
            piece: bytes | None = ray.get(ready[0])
        except RayError as error:
            raise EngineError(first_line(error)) from error
        return piece

    def restore(self, snapshot: bytes, turns: int) -> int:
        """Send a snapshot to replay piece by piece; return the number of transitions restored."""
        for start in range(0, len(snapshot), PIECE_BYTES):
            self.process.add_piece.remote(snapshot[start : start + PIECE_BYTES])
        self.turns = turns
        try:
            restored: int = ray.get(self.process.restore.remote(b"", turns))
        except RayTaskError as error:
            if isinstance(error.cause, ValueError):
                raise ValueError(str(error.cause)) from None
            raise
        return restored


class RayWorkerPool:
    """The actor processes, and replay.

    Weights are put into Ray's object store once per version. An actor that dies is replaced and reported as lost. An
    actor for which no processor is free waits for one.
    """

    def __init__(
        self,
        run_spec: RunSpec,
        allocation: Allocation,
        *,
        seed: int,
        placement: Placement = THIS_MACHINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.n_actors = allocation.n_actors
        self._engine = RayProcesses()
        self._run_spec = _share(run_spec)
        self._allocation = allocation
        self._seed = seed
        self._placement = placement
        self._started = 0
        self._folder = make_locked_folder(REPORTS_PREFIX, None)
        self._crash_reports: dict[int, CrashReport] = {}
        self.replay = RayReplay(run_spec, self._run_spec, placement.replay, self._engine, seed=seed)
        self._wait = ActorWait(placement.wait_seconds)
        self._starting: dict[ray.ObjectRef[Any], int] = {}
        self._actors = [self._start_actor(number) for number in range(allocation.n_actors)]
        self._playing: dict[ray.ObjectRef[Any], int] = {}
        self._granted_at: dict[int, float] = {}
        self._silent: set[str] = set()
        self._weights: ray.ObjectRef[Any] | None = None

    def _start_actor(self, number: int) -> Any:
        self._started += 1
        self._crash_reports[number] = CrashReport(self._folder, self._started)
        process: Any = ray.remote(ActorProcess).options(**self._placement.actor)
        actor = process.remote(
            self._run_spec,
            self._crash_reports[number],
            n_games=self._allocation.games_per_actor,
            block_turns=self._allocation.block_turns,
            seed=self._seed * 1_000_003 + self._started,
        )
        self._starting = {waiting: n for waiting, n in self._starting.items() if n != number}
        self._starting[actor.__ray_ready__.remote()] = number
        return actor

    def ready_actors(self) -> frozenset[int]:
        """Return the actors whose processes have started, or failed to: then the next grant reports why."""
        return frozenset(range(self.n_actors)) - frozenset(self._starting.values())

    def publish(self, weights: Weights) -> None:
        """Put `weights` into the object store, once for all actors.

        Raises:
            EngineError: if there is no room for them, or Ray ended.
        """
        self._engine.check()
        try:
            self._weights = ray.put(weights)
        except RayError as error:
            raise EngineError(
                f"Ray's object store has no room for the weights: {first_line(error)}\n"
                "Free memory or disk space on this machine, then resume with: --resume latest"
            ) from error

    def grant(self, actor: int, grant: Grant) -> None:
        """Let an actor play."""
        self._engine.check()
        self._playing[self._actors[actor].play.remote(grant, self._weights, self.replay.process)] = actor
        self._granted_at[actor] = self._clock()

    def poll(self, timeout_seconds: float) -> list[WorkerEvent]:
        """Return the reports that have arrived, which processes were lost, and which do not answer or start.

        Raises:
            EngineLostError: if Ray ended.
            EngineError: if no actor starts for too long.
        """
        self._engine.check()
        news = self._find_silent() + self._take_replay_events()
        waiting = [*self._playing, *self._starting]
        if not waiting or news:
            return news
        ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        if not ready and timeout_seconds > 0:
            ready, _ = ray.wait(waiting, num_returns=1, timeout=timeout_seconds)
        for reference in ready:
            self._starting.pop(reference, None)
        events: list[WorkerEvent] = [self._receive(reference) for reference in ready if reference in self._playing]
        remark = self._wait.check(len(self._starting) == self.n_actors)
        if remark is not None:
            events.append(WorkerRemark(text=remark))
        return self._take_replay_events() + events

    def _find_silent(self) -> list[WorkerEvent]:
        """Return who has become silent since the last call."""
        silent = {f"Actor {n}" for n in self._playing.values() if self._clock() - self._granted_at[n] > SILENCE_SECONDS}
        if self.replay.silent_seconds > SILENCE_SECONDS:
            silent.add("The replay process")
        new, self._silent = silent - self._silent, silent
        advice = "Its process may be stopped, or the machine overloaded. Training continues when it answers."
        return [
            WorkerRemark(text=f"{name} has not answered for {SILENCE_SECONDS:.0f} seconds. {advice}")
            for name in sorted(new)
        ]

    def _take_replay_events(self) -> list[WorkerEvent]:
        events: list[WorkerEvent] = [*self.replay.events]
        self.replay.events.clear()
        return events

    def _receive(self, reference: ray.ObjectRef[Any]) -> GrantReported | ActorLost:
        actor = self._playing.pop(reference)
        try:
            report = ray.get(reference)
            self.replay.turns = max(self.replay.turns, report.replay_turns)
            if report.recycled is not None:
                self._replace(actor)
            return GrantReported(actor=actor, report=report)
        except RayTaskError as error:
            # Our own code raised this. A game's failures arrive in the report.
            if isinstance(error.cause, (GameFailedError, GameNotFoundError)):
                raise type(error.cause)(str(error.cause)) from None
            if isinstance(error.cause, RayActorError) and not isinstance(error.cause, ActorUnavailableError):
                self.replay.replace(error.cause)  # the actor lives but could not push, and the link is not just cut
            reason = f"{type(error.cause).__name__}: {first_line(error.cause)}"
        except RayError as error:  # it died, or its report was lost with the memory of its node
            reason = _describe_loss(error)
        return ActorLost(actor=actor, reason=self._replace(actor) or printable(reason))

    def _replace(self, actor: int) -> str | None:
        """Start a new process for `actor`; return what the old one's crash report says, if anything."""
        self._engine.check()
        ray.kill(self._actors[actor])
        cause = self._crash_reports[actor].take()
        self._actors[actor] = self._start_actor(actor)
        return cause

    def close(self) -> None:
        """Stop the actors and replay."""
        if self._engine.find_loss() is None:
            for process in (*self._actors, self.replay.process):
                ray.kill(process)
        shutil.rmtree(self._folder, ignore_errors=True)


def _share(run_spec: RunSpec) -> ray.ObjectRef[Any]:
    try:
        return ray.put(run_spec)
    except (TypeError, pickle.PicklingError) as error:
        cause = first_line(error.__cause__ or error)  # Ray's own text describes the whole run spec
        raise UsageError(
            f"the function that builds the game cannot be sent to other processes ({cause}).\n"
            "Move it into a module of its own, or train in this process with actors=0."
        ) from error


def _describe_loss(error: RayError) -> str:
    """Return Ray's first line; for a process that failed at its start, the error it raised, which comes last."""
    first, *rest = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return printable(f"{rest[-1]}, while its process started" if rest and "creation task" in first else first)
