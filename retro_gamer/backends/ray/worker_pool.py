"""The Ray runtime: actors and replay in processes of their own."""

from __future__ import annotations

import atexit
import pickle
import secrets
from collections import deque
from typing import Any

import numpy as np
import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from retro_gamer.acting.actor import Grant
from retro_gamer.backends.ray.actor_process import ActorProcess, CrashReport, clear_away
from retro_gamer.backends.ray.placement import THIS_MACHINE, Placement
from retro_gamer.backends.replay_service import ReplayService
from retro_gamer.errors import EngineError, GameFailedError, GameNotFoundError, UsageError, first_line, printable
from retro_gamer.features.extractor import FeatureBatch
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.inference import Weights
from retro_gamer.replay.snapshot import PIECE_BYTES
from retro_gamer.training.loop.backend import ActorLost, Event, GrantReported, ReplayLost
from retro_gamer.training.planning.allocation import Allocation
from retro_gamer.training.planning.run_spec import RunSpec

BATCHES_AT_A_TIME = 16
REQUESTS_AHEAD = 2
PRIORITY_UPDATES_AT_A_TIME = 16


class RayWorkerPool:
    """Grants go to actors, batches come from replay ahead of their use, errors go back several batches at a time.

    Weights are put into the object store once per version and handed on by reference. An actor that dies is replaced
    and reported as lost, and so is replay, by an empty one. An actor for which there is no processor free yet waits
    for one, and is present from then on.
    """

    def __init__(
        self, run_spec: RunSpec, allocation: Allocation, *, seed: int, placement: Placement = THIS_MACHINE
    ) -> None:
        self.n_actors = allocation.n_actors
        self._run_spec = _share(run_spec)
        self._allocation = allocation
        self._seed = seed
        self._batch_size = run_spec.settings.batch_size
        self._made = 0
        self._token = secrets.token_hex(8)
        self._last_words: dict[int, CrashReport] = {}
        self._placement = placement
        self._replay = self._make_replay()
        self._turns = 0
        self._losses: list[ReplayLost] = []
        self._takes_errors = True
        self._starting: dict[ray.ObjectRef[Any], int] = {}
        self._actors = [self._make_actor(number) for number in range(allocation.n_actors)]
        self._playing: dict[ray.ObjectRef[Any], int] = {}
        self._weights: ray.ObjectRef[Any] | None = None
        self._requests: deque[tuple[ray.ObjectRef[Any], int]] = deque()
        self._batches: deque[FeatureBatch] = deque()
        self._spec = run_spec.network
        self._errors: list[tuple[np.ndarray, np.ndarray]] = []
        self._piece: ray.ObjectRef[Any] | None = None

    def _make_replay(self) -> Any:
        process: Any = ray.remote(ReplayService).options(**self._placement.replay)
        return process.remote(self._run_spec, seed=self._seed)

    def _make_actor(self, number: int) -> Any:
        self._made += 1
        self._last_words[number] = CrashReport(self._token, self._made)
        process: Any = ray.remote(ActorProcess).options(**self._placement.actor)
        actor = process.remote(
            self._run_spec,
            self._last_words[number],
            n_games=self._allocation.games_per_actor,
            block_turns=self._allocation.block_turns,
            seed=self._seed * 1_000_003 + self._made,
        )
        self._starting = {waiting: n for waiting, n in self._starting.items() if n != number}
        self._starting[actor.__ray_ready__.remote()] = number
        return actor

    def ready_actors(self) -> frozenset[int]:
        """Return the actors whose processes have started, or failed to: a grant will tell why."""
        return frozenset(range(self.n_actors)) - frozenset(self._starting.values())

    def publish(self, weights: Weights) -> None:
        """Put `weights` into the object store, once for all actors.

        Raises:
            EngineError: if there is no room for them.
        """
        try:
            self._weights = ray.put(weights)
        except RayError as error:
            raise EngineError(
                f"Ray's memory for objects cannot take the weights: {first_line(error)}\n"
                "Close what else uses memory or disk here, then go on with: --resume latest"
            ) from error

    def grant(self, actor: int, grant: Grant) -> None:
        """Set an actor to work."""
        self._playing[self._actors[actor].play.remote(grant, self._weights, self._replay)] = actor

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return the reports that are ready, and which actors were lost."""
        waiting = [*self._playing, *self._starting]
        if not waiting or self._losses:
            return self._take_losses()
        ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        if not ready and timeout_seconds > 0:
            ready, _ = ray.wait(waiting, num_returns=1, timeout=timeout_seconds)
        for reference in ready:
            self._starting.pop(reference, None)
        events: list[Event] = [self._collect(reference) for reference in ready if reference in self._playing]
        return self._take_losses() + events

    def _collect(self, reference: ray.ObjectRef[Any]) -> GrantReported | ActorLost:
        actor = self._playing.pop(reference)
        try:
            report = ray.get(reference)
            self._turns = max(self._turns, report.replay_turns)
            if report.recycled is not None:
                self._replace(actor)
            return GrantReported(actor=actor, report=report)
        except RayTaskError as error:
            # Only what our own code let through arrives here; a game's failures travel in the report as text.
            if isinstance(error.cause, (GameFailedError, GameNotFoundError)):
                raise type(error.cause)(str(error.cause)) from None
            if isinstance(error.cause, RayActorError) and not isinstance(error.cause, ActorUnavailableError):
                self._lose_replay(error.cause)  # the actor lives, but could not push: not for a link that is cut
            reason = f"{type(error.cause).__name__}: {first_line(error.cause)}"
        except RayError as error:  # it died, or what it returned is gone with its memory
            reason = _reason(error)
        return ActorLost(actor=actor, reason=self._replace(actor) or printable(reason))

    def _replace(self, actor: int) -> str | None:
        """Let a new process take the number of `actor`; return what the old one said of its end, if anything."""
        ray.kill(self._actors[actor])
        said = self._last_words[actor].take()
        self._actors[actor] = self._make_actor(actor)
        return said

    def next_batch(self, wanted: int, spec: NetworkSpec) -> FeatureBatch | None:
        """Return the next batch, and have more fetched while it is learned from, never beyond `wanted`.

        Return None if replay was lost: the new one is empty, and nothing is sampled from it before that was told.
        """
        if self._losses:
            return None
        if spec != self._spec:  # the network has grown: what was looked at for the smaller one is of no use to it
            self._spec = spec
            self._requests.clear()
            self._batches.clear()
        self._send_errors(at_least=PRIORITY_UPDATES_AT_A_TIME)
        self._request(wanted)
        if not self._batches:
            reference, _ = self._requests.popleft()
            self._batches.extend(self._get(reference))
        return self._batches.popleft() if self._batches else None

    def _request(self, wanted: int) -> None:
        coming = len(self._batches) + sum(count for _, count in self._requests)
        while coming < wanted and len(self._requests) < REQUESTS_AHEAD:
            count = min(BATCHES_AT_A_TIME, wanted - coming)
            self._requests.append((self._replay.sample.remote(count, self._batch_size, self._spec), count))
            coming += count

    def _get(self, reference: ray.ObjectRef[Any]) -> list[FeatureBatch]:
        """Return the batches asked for, none if replay was lost."""
        try:
            batches: list[FeatureBatch] = ray.get(reference)
        except RayTaskError as error:
            raise EngineError(f"replay failed: {type(error.cause).__name__}: {first_line(error.cause)}") from error
        except RayError as error:
            self._lose_replay(error)
            return []
        self._takes_errors = True
        return batches

    def _lose_replay(self, error: RayError) -> None:
        """Let an empty replay take the place of one that was lost. Several may find that out, of the same one."""
        lost = getattr(error, "actor_id", None)
        if lost is not None and lost != self._replay._actor_id.hex():
            return
        ray.kill(self._replay)
        self._replay = self._make_replay()
        self._replay.restore.remote(self._turns)
        self._requests.clear()
        self._batches.clear()
        self._errors, self._takes_errors, self._piece = [], False, None
        self._losses.append(ReplayLost(reason=first_line(error)))

    def _take_losses(self) -> list[Event]:
        losses: list[Event] = [*self._losses]
        self._losses.clear()
        return losses

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> None:
        """Keep the errors until there are enough for one message; those of a memory that was lost name nothing."""
        if self._takes_errors:
            self._errors.append((ids, errors))

    def _send_errors(self, at_least: int) -> None:
        if len(self._errors) < at_least:
            return
        ids, errors = (np.concatenate(arrays) for arrays in zip(*self._errors, strict=True))
        self._errors = []
        self._replay.update_priorities.remote(ids, errors)

    def begin_snapshot(self, limit_bytes: int) -> None:
        """Have replay copy its newest experiences; it goes on meanwhile."""
        self._piece = None
        self._replay.begin_snapshot.remote(limit_bytes)

    def next_piece(self, timeout_seconds: float) -> bytes | None:
        """Return the next piece of the copy, if it has come."""
        if self._piece is None:
            self._piece = self._replay.next_piece.remote(0.0)
        ready, _ = ray.wait([self._piece], timeout=timeout_seconds)
        if not ready:
            return None
        self._piece = None
        try:
            piece: bytes | None = ray.get(ready[0])
            return piece
        except RayError as error:
            raise EngineError(first_line(error)) from error

    def restore(self, snapshot: bytes, turns: int) -> int:
        """Send a copy to replay piece by piece and have it put back."""
        for start in range(0, len(snapshot), PIECE_BYTES):
            self._replay.add_piece.remote(snapshot[start : start + PIECE_BYTES])
        self._turns = turns
        try:
            return int(ray.get(self._replay.restore.remote(turns)))
        except RayTaskError as error:
            if isinstance(error.cause, ValueError):
                raise ValueError(str(error.cause)) from None
            raise

    def stop(self) -> None:
        """End the actors and replay."""
        for process in (*self._actors, self._replay):
            ray.kill(process)
        clear_away(self._token)
        atexit.register(clear_away, self._token)  # one killed at its start may not have come to its end yet


def _share(run_spec: RunSpec) -> ray.ObjectRef[Any]:
    try:
        return ray.put(run_spec)
    except (TypeError, pickle.PicklingError) as error:
        raise UsageError(
            f"the function that builds the game cannot be sent to other processes ({first_line(error)}).\n"
            "Put it into a module of its own, or train in this process with actors=0."
        ) from error


def _reason(error: RayError) -> str:
    """Return what Ray says first, and the error itself, which comes last, if it was raised while a process began."""
    first, *rest = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return printable(f"{rest[-1]}, as its process began" if rest and "creation task" in first else first)
