"""The learner's part of a training: from what it was given to its last checkpoint, in whatever process that is."""

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
from retro_gamer.learning.checkpoint import MISFITS, make_damaged
from retro_gamer.learning.learner import Learner
from retro_gamer.learning.rationale import describe_network
from retro_gamer.run.writer import RunWriter
from retro_gamer.training.loop.backend import Backend, WorkerPool
from retro_gamer.training.loop.checkpointing import LearnerRecorder
from retro_gamer.training.loop.diagnostics import Diagnostics
from retro_gamer.training.loop.end_conditions import StopRequest
from retro_gamer.training.loop.progress import Reporter
from retro_gamer.training.loop.training_loop import Start, TrainingLoop
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
    def start(self) -> Start:
        """Where training begins."""
        if self.state is None:
            return Start()
        largest = self.state.get("largest_reward")  # checkpoints of before have none
        return Start(
            episodes=int(self.state["episode"]),
            turns=int(self.state["total_turns"]),
            recent_rewards=tuple(self.state.get("recent_rewards", ())),  # checkpoints of before have none
            largest_reward=largest if isinstance(largest, float) and math.isfinite(largest) else None,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """How a training ended."""

    episodes: int
    training_episodes: int
    turns: int
    updates: int
    seconds: float
    complete: bool
    """All episodes or the whole time; else it was stopped by a signal."""
    signal_number: int | None
    checkpoint: str
    """The name of the checkpoint written at the end."""


def run_learner(
    task: LearnerTask, writer: RunWriter, reporter: Reporter, stop: StopRequest, backend: Backend
) -> TrainingOutcome:
    """Train from `task.start` on, handing all there is to keep to `writer`, and return how it ended.

    Raises:
        RetroGamerError: if the game or a process that training needs fails for good; a checkpoint was handed on.
    """
    started = time.monotonic()
    run_spec = task.run_spec
    learner = _make_learner(task, backend.device)
    plan = backend.allocate(run_spec, task.n_actors)
    text = _describe(learner, task, plan)
    reporter.begin(text)
    with backend.start_workers(run_spec, plan, seed=run_spec.settings.seed + task.start.episodes) as runtime:
        set_threads(plan.learner_threads)
        # Nothing that was there is touched before everything else has started.
        writer.begin(text)
        start, remembered = restore_memory(runtime, task)
        for remark in (*task.remarks, *warn_about_memory(run_spec), *remembered):
            writer.write_note(remark)
            reporter.note(remark)
        recorder = LearnerRecorder(writer, learner, run_spec.metadata, run_spec.settings)
        loop = TrainingLoop(
            learner=learner,
            runtime=runtime,
            settings=run_spec.settings,
            plan=plan,
            recorder=recorder,
            reporter=reporter,
            stop=stop,
            start=start,
            seconds=task.seconds,
            watch=_make_watch(task),
        )
        complete, checkpoint = _run_to_a_checkpoint(loop)
    return TrainingOutcome(
        episodes=loop.episodes,
        training_episodes=run_spec.settings.training_episodes,
        turns=loop.turns,
        updates=learner.total_updates,
        seconds=time.monotonic() - started,
        complete=complete,
        signal_number=stop.signal_number,
        checkpoint=checkpoint,
    )


def _make_watch(task: LearnerTask) -> Diagnostics:
    start = task.start
    return Diagnostics(
        task.run_spec.settings,
        task.run_spec.metadata.actions,
        first_episode=start.episodes,
        largest_reward=start.largest_reward,
        seconds=task.seconds,
    )


def restore_memory(runtime: WorkerPool, task: LearnerTask) -> tuple[Start, list[str]]:
    """Put back the memory of the checkpoint, if there is a copy; return where to start, and what to say of it."""
    start, state = task.start, task.state
    if state is None:
        return start, []
    why = "it has no copy of the memory" if state.get("replay_snapshot") is None else "its copy of the memory is gone"
    if task.snapshot:
        try:
            held = runtime.restore(task.snapshot, start.turns)
        except ValueError as error:
            why = f"its copy of the memory cannot be used: {printable(str(error))}"
        else:
            resumed = dataclasses.replace(start, slack_turns=int(state["slack_turns"]))
            return resumed, [f"The memory goes on with {held} experiences."]
    runtime.restore(b"", start.turns)
    return start, [f"The memory begins empty and is filled before learning goes on ({why})."]


def _run_to_a_checkpoint(loop: TrainingLoop) -> tuple[bool, str]:
    """Run the loop; write final.pt if it is complete, else a checkpoint of the exact episode reached."""
    try:
        complete = loop.run()
    except Exception:  # whatever it is, what was learned is kept
        if loop.episodes:
            with contextlib.suppress(EngineError):  # weights that are not finite are not
                loop.keeper.finish(loop.position, final=False)
        raise
    return complete, loop.keeper.finish(loop.position, final=complete)


def _make_learner(task: LearnerTask, device: str) -> Learner:
    run_spec, state = task.run_spec, task.state
    characters = run_spec.metadata.character_set or ()
    if state is None:
        return Learner(run_spec.network, run_spec.settings, characters, device)
    learner = Learner(NetworkSpec(**state["spec"]), run_spec.settings, tuple(state["characters"]), device)
    try:
        learner.set_state(state)
    except MISFITS as error:
        raise make_damaged("The checkpoint to go on from", "what it learned does not fit its network") from error
    if characters != learner.characters:
        learner.extend(characters)
    return learner


def _describe(learner: Learner, task: LearnerTask, plan: Allocation) -> str:
    lines = [describe_network(learner.network, task.run_spec.metadata, task.run_spec.settings), "Division of work"]
    return "\n".join([*lines, *(f"  {reason}" for reason in plan.reasons)])
