"""The learner's side of a run, from its task to the last checkpoint, in whatever process it runs."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any

from retro_gamer.errors import EngineError, printable
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning import set_threads
from retro_gamer.learning.checkpoint import STATE_ERRORS, make_damaged_error
from retro_gamer.learning.learner import Learner
from retro_gamer.learning.rationale import describe_network
from retro_gamer.replay.snapshot import is_signed
from retro_gamer.run.events import EventSink, Remark, Started, Starting, TrainingOutcome
from retro_gamer.training.loop.backend import Backend, EngineLostError, WorkerPool
from retro_gamer.training.loop.checkpointing import Checkpointing, Counters
from retro_gamer.training.loop.diagnostics import Diagnostics
from retro_gamer.training.loop.end_conditions import StopRequest
from retro_gamer.training.loop.training_loop import TrainingLoop
from retro_gamer.training.planning.allocation import Allocation
from retro_gamer.training.planning.measurements import warn_about_memory
from retro_gamer.training.planning.run_spec import RunSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnerTask:
    """What one learner receives: the run spec and where to start. It can be sent to another process."""

    run_spec: RunSpec
    state: Mapping[str, Any] | None
    """The checkpoint to resume from, None for a new run."""
    snapshot: bytes
    """The snapshot of replay memory that the checkpoint names, b"" if there is none."""
    remarks: tuple[str, ...]
    """What a user should know before the first episode."""
    n_actors: int | None
    seconds: float

    @property
    def start(self) -> Counters:
        """The counters to start with, before replay memory is restored."""
        if self.state is None:
            return Counters()
        largest = self.state.get("largest_reward")  # old checkpoints have none
        return Counters(
            episodes=int(self.state["episode"]),
            turns=int(self.state["total_turns"]),
            recent_rewards=tuple(self.state.get("recent_rewards", ())),  # old checkpoints have none
            largest_reward=largest if isinstance(largest, float) and math.isfinite(largest) else None,
        )


def run_learner(task: LearnerTask, sink: EventSink, stop: StopRequest, backend: Backend) -> TrainingOutcome:
    """Train from `task.start` on, hand every event to `sink`, and return how training ended.

    Raises:
        RetroGamerError: if the game or a process that training needs fails for good; a checkpoint was emitted before.
    """
    began = time.monotonic()
    run_spec = task.run_spec
    learner = _make_learner(task, backend.device)
    allocation = backend.allocate(run_spec, task.n_actors)
    text = _describe(learner, task, allocation)
    sink.handle(Starting(text))
    with backend.start_workers(run_spec, allocation, seed=run_spec.settings.seed + task.start.episodes) as workers:
        set_threads(allocation.learner_threads)
        sink.handle(Started(text))
        start, restored = restore_memory(workers, task)
        for remark in (*task.remarks, *warn_about_memory(run_spec), *restored):
            sink.handle(Remark(remark))
        loop = _make_loop(task, learner, workers, allocation, start, sink, stop)
        complete, checkpoint = _run_to_a_checkpoint(loop, stop)
    return TrainingOutcome(
        episodes=loop.episodes,
        training_episodes=run_spec.settings.training_episodes,
        turns=loop.turns,
        updates=learner.total_updates,
        seconds=time.monotonic() - began,
        complete=complete,
        signal_number=stop.signal_number,
        checkpoint=checkpoint,
    )


def _make_loop(
    task: LearnerTask,
    learner: Learner,
    workers: WorkerPool,
    allocation: Allocation,
    start: Counters,
    sink: EventSink,
    stop: StopRequest,
) -> TrainingLoop:
    checkpointing = Checkpointing(
        learner=learner,
        replay=workers.replay,
        metadata=task.run_spec.metadata,
        settings=task.run_spec.settings,
        sink=sink,
        is_inline=allocation.is_inline,
    )
    diagnostics = Diagnostics(
        task.run_spec.settings,
        task.run_spec.metadata.actions,
        first_episode=start.episodes,
        largest_reward=start.largest_reward,
        seconds=task.seconds,
    )
    return TrainingLoop(
        learner=learner,
        workers=workers,
        settings=task.run_spec.settings,
        allocation=allocation,
        sink=sink,
        checkpointing=checkpointing,
        stop=stop,
        start=start,
        seconds=task.seconds,
        diagnostics=diagnostics,
    )


def restore_memory(workers: WorkerPool, task: LearnerTask) -> tuple[Counters, list[str]]:
    """Restore replay memory from the checkpoint's snapshot; return the counters to start with, and a remark about it.

    Without a snapshot that can be used the memory stays empty.
    """
    start, state = task.start, task.state
    if state is None:
        return start, []
    why = (
        "the checkpoint has no snapshot of it"
        if state.get("replay_snapshot") is None
        else "its snapshot is gone or unreadable"
    )
    if task.snapshot:
        try:
            held = workers.replay.restore(task.snapshot, start.turns)
        except ValueError as error:
            why = f"its snapshot cannot be used: {printable(str(error))}"
        else:
            resumed = dataclasses.replace(start, slack_turns=int(state.get("slack_turns", 0)))
            kind = (
                "" if is_signed(task.snapshot) else "; its snapshot was written by an older version, without a digest"
            )
            return resumed, [f"Replay memory restored ({held:,} transitions{kind})."]
    workers.replay.restore(b"", start.turns)
    return start, [f"Replay memory starts empty and is filled before learning continues ({why})."]


def _run_to_a_checkpoint(loop: TrainingLoop, stop: StopRequest) -> tuple[bool, str]:
    """Run the loop; emit final.pt if it is complete, otherwise a checkpoint of the episode reached."""
    try:
        complete = _run_until_stopped(loop, stop)
    except Exception:  # whatever it is, save what was learned
        if loop.episodes:
            with contextlib.suppress(EngineError):  # but never weights that are not finite
                loop.checkpointing.finish(loop.counters, is_final=False)
        raise
    return complete, loop.checkpointing.finish(loop.counters, is_final=complete)


def _run_until_stopped(loop: TrainingLoop, stop: StopRequest) -> bool:
    try:
        return loop.run()
    except EngineLostError:
        if not stop.is_made:
            raise
        return False  # the signal went to all processes, as Slurm sends it: this is how they end


def _make_learner(task: LearnerTask, device: str) -> Learner:
    run_spec, state = task.run_spec, task.state
    characters = run_spec.metadata.character_set or ()
    if state is None:
        return Learner(run_spec.network, run_spec.settings, characters, device)
    learner = Learner(NetworkSpec(**state["spec"]), run_spec.settings, tuple(state["characters"]), device)
    try:
        learner.set_state(state)
    except STATE_ERRORS as error:
        raise make_damaged_error("The checkpoint to resume from", "its state does not fit its network") from error
    if characters != learner.characters:
        learner.extend(characters)
    return learner


def _describe(learner: Learner, task: LearnerTask, allocation: Allocation) -> str:
    lines = [describe_network(learner.network, task.run_spec.metadata, task.run_spec.settings), "Allocation"]
    return "\n".join([*lines, *(f"  {reason}" for reason in allocation.reasons)])
