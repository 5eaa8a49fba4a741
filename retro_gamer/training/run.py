"""One training run from its directory to its last checkpoint: what `retro-gamer train` does."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from retro_gamer.dqn.learner import Learner
from retro_gamer.dqn.rationale import describe_network
from retro_gamer.dqn.spec import NetworkSpec, make_spec
from retro_gamer.dqn.threads import set_threads
from retro_gamer.errors import RetroGamerError, RunExistsError, UsageError
from retro_gamer.runs.directory import RunDirectory
from retro_gamer.runs.lock import RunLock
from retro_gamer.runs.log import TrainingLog
from retro_gamer.training.inline import InlineRuntime
from retro_gamer.training.loop import Start, TrainingLoop
from retro_gamer.training.machine import count_cpus
from retro_gamer.training.measure import measure_service_times
from retro_gamer.training.plan import ServiceTimes, WorkPlan, make_plan
from retro_gamer.training.preparation import PreparedRun, prepare_run
from retro_gamer.training.progress import Reporter
from retro_gamer.training.recorder import DirectoryRecorder
from retro_gamer.training.resumption import ResumePoint, describe_changes, find_resume_point, fit_to_checkpoint
from retro_gamer.training.runtime import Runtime
from retro_gamer.training.stopping import StopRequest
from retro_gamer.training.watch import Watch
from retro_gamer.training.work import Work

UNMEASURED = ServiceTimes(turn=math.nan, update=math.nan)


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


def train(
    run_dir: str | Path,
    *,
    resume: str | None = None,
    n_actors: int | None = None,
    minutes: float | None = None,
    reporter: Reporter,
    factory: Callable[[], Any] | None = None,
) -> TrainingOutcome:
    """Train the run in `run_dir` and return how it ended.

    Raises:
        RetroGamerError: whatever is wrong with the run, the game or the machine; see retro_gamer.errors.
    """
    _check_options(n_actors, minutes)
    directory = RunDirectory.open(run_dir)
    with RunLock(directory.path), StopRequest() as stop:
        return _train_locked(directory, resume, n_actors, minutes, reporter, factory, stop)


def _check_options(n_actors: int | None, minutes: float | None) -> None:
    if n_actors is not None and n_actors < 0:
        raise UsageError(f"--actors = {n_actors}: must be 0 (this process) or more; try --actors 1")
    if minutes is not None and not (minutes > 0 and math.isfinite(minutes)):
        raise UsageError(f"--minutes = {minutes}: must be more than 0; try --minutes 5")


def _train_locked(
    directory: RunDirectory,
    resume: str | None,
    n_actors: int | None,
    minutes: float | None,
    reporter: Reporter,
    factory: Callable[[], Any] | None,
    stop: StopRequest,
) -> TrainingOutcome:
    started = time.monotonic()
    point = find_resume_point(directory, resume) if resume is not None else None
    if point is None and directory.has_checkpoints:
        raise RunExistsError(
            f"{directory.path} holds checkpoints of an earlier training, which is not trained over.\n"
            f"Go on from the last one:  retro-gamer train {directory.path} --resume latest\n"
            "or make a new run with:   retro-gamer create --game MODULE --output DIR"
        )
    prepared = prepare_run(directory, factory, tuple(point.state["characters"]) if point else None)
    if point is not None:
        prepared = fit_to_checkpoint(prepared, point)
    learner = _make_learner(prepared, point)
    work = Work(
        source=prepared.source,
        factory=factory,
        metadata=prepared.metadata,
        settings=prepared.settings,
        spec=learner.spec,
    )
    plan = _make_work_plan(work, n_actors)
    text = _describe(prepared, learner, plan)
    reporter.begin(text)
    start = Start(episodes=point.episodes, turns=point.turns) if point else Start()
    with _running(work, plan, seed=prepared.settings.seed + start.episodes) as runtime:
        set_threads(plan.learner_threads)
        log = _open_log(prepared, point, text, reporter)
        recorder = DirectoryRecorder(directory, log, learner, prepared.metadata, prepared.settings)
        loop = TrainingLoop(
            learner=learner,
            runtime=runtime,
            settings=prepared.settings,
            plan=plan,
            recorder=recorder,
            reporter=reporter,
            stop=stop,
            start=start,
            seconds=math.inf if minutes is None else minutes * 60,
            watch=Watch(prepared.settings, prepared.metadata.actions),
        )
        complete, checkpoint = _run_to_a_checkpoint(loop, recorder)
    return TrainingOutcome(
        episodes=loop.episodes,
        training_episodes=prepared.settings.training_episodes,
        turns=loop.turns,
        updates=learner.total_updates,
        seconds=time.monotonic() - started,
        complete=complete,
        signal_number=stop.signal_number,
        checkpoint=checkpoint,
    )


def _run_to_a_checkpoint(loop: TrainingLoop, recorder: DirectoryRecorder) -> tuple[bool, str]:
    """Run the loop; write final.pt if it is complete, else a checkpoint of the exact episode reached."""
    try:
        complete = loop.run()
    except RetroGamerError:
        if loop.episodes:
            recorder.write_checkpoint(loop.episodes, loop.turns)
        raise
    if complete:
        return True, recorder.write_final(loop.episodes, loop.turns)
    return False, recorder.write_checkpoint(loop.episodes, loop.turns)


def _make_learner(prepared: PreparedRun, point: ResumePoint | None) -> Learner:
    characters = prepared.metadata.character_set or ()
    if point is None:
        spec = make_spec(prepared.metadata, prepared.settings, prepared.discovery.has_player)
        return Learner(spec, prepared.settings, characters)
    learner = Learner(NetworkSpec(**point.state["spec"]), prepared.settings, tuple(point.state["characters"]))
    learner.set_state(point.state)
    if characters != learner.characters:
        learner.extend(characters)
    return learner


def _make_work_plan(work: Work, n_actors: int | None) -> WorkPlan:
    n_cpus = count_cpus()
    times = UNMEASURED if n_actors == 0 else measure_service_times(work, min(n_cpus, 8))
    return make_plan(work.settings, times, n_cpus, n_actors)


def _describe(prepared: PreparedRun, learner: Learner, plan: WorkPlan) -> str:
    lines = [describe_network(learner.network, prepared.metadata), "Division of work"]
    return "\n".join([*lines, *(f"  {reason}" for reason in plan.reasons)])


def _open_log(prepared: PreparedRun, point: ResumePoint | None, text: str, reporter: Reporter) -> TrainingLog:
    """Begin or rewind the log. Nothing that was there is touched before everything else has started."""
    log = TrainingLog(prepared.directory.log_path)
    if point is None:
        log.write_header(text)
    else:
        prepared.directory.abandon_after(point.episodes, point.file)
        log.rewind(point.episodes)
    for remark in _make_remarks(prepared, point):
        log.note(remark)
        reporter.note(remark)
    return log


def _make_remarks(prepared: PreparedRun, point: ResumePoint | None) -> Iterator[str]:
    """Yield what a user should know before the first episode."""
    if point is not None:
        yield f"Resumed from {point.file.name} at episode {point.episodes}."
        yield from describe_changes(prepared, point)
    found = prepared.discovery
    if found.first_failure is not None:
        yield f"{found.failures} of {found.episodes} random games failed, the first with: {found.first_failure}"
    if prepared.factory is not None:
        yield (
            "The game was given as a function that cannot be imported. It trains, but to watch the agent with "
            "'retro-gamer play' put the function into a module and name that under [game] in config.toml."
        )


@contextlib.contextmanager
def _running(work: Work, plan: WorkPlan, seed: int) -> Iterator[Runtime]:
    """Start the runtime of the plan, and stop it whatever happens."""
    if plan.n_actors == 0:
        yield InlineRuntime(work, block_turns=plan.block_turns, seed=seed)
        return
    # Ray takes most of a second to import, and the inline runtime does not need it.
    from retro_gamer.training.ray.engine import LocalRay
    from retro_gamer.training.ray.runtime import RayRuntime

    with LocalRay(n_cpus=plan.n_actors + 1):
        runtime = RayRuntime(work, plan, seed=seed)
        try:
            yield runtime
        finally:
            runtime.stop()
