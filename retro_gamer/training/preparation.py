"""From config.toml, and a checkpoint if the run resumes, to a learner attempt."""

from __future__ import annotations

import dataclasses
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from retro_gamer.errors import CheckpointError, ConfigurationError, Problem, RunExistsError, printable, quoted
from retro_gamer.features.spec import make_spec
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.random_play import RandomPlay, open_game, play_randomly
from retro_gamer.games.session import seed_generators
from retro_gamer.learning.checkpoint import (
    NO_DIGEST,
    find_mismatches,
    has_digest,
    load_checkpoint,
    read_network_spec,
)
from retro_gamer.run.config import RunConfig, load_config, update_config
from retro_gamer.run.directory import LATEST, CheckpointFile, RunDirectory, checkpoint_name
from retro_gamer.run.snapshots import SnapshotFolder
from retro_gamer.run.writer import RunWriter
from retro_gamer.training.learner_main import LearnerTask
from retro_gamer.training.planning.run_spec import RunSpec

MOST_TURNS_TO_FIND_THE_PLAYER = 200
"""Limit of the random turns when the characters are known: they then only show which agent the keys move."""
LEAST_SECONDS = 1.0
"""A learner that replaces a lost one gets at least this long."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """The loaded checkpoint that a run resumes from."""

    file: CheckpointFile
    state: Mapping[str, Any]
    skipped: tuple[str, ...] = ()
    """What is wrong with each newer checkpoint."""

    @property
    def episodes(self) -> int:
        """Episodes completed at the checkpoint."""
        return int(self.state["episode"])

    @property
    def name(self) -> str:
        """The checkpoint's name in the resumed run, whatever its file is called."""
        return checkpoint_name(self.episodes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedRun:
    """A run whose game has been opened and whose description is complete."""

    directory: RunDirectory
    config: RunConfig
    """As read from config.toml, with the changes given in Python."""
    run_spec: RunSpec
    random_play: RandomPlay
    sharing: str | None = None
    """Why each actor plays one game only, None if it plays several."""


def prepare(
    directory: RunDirectory,
    config: RunConfig,
    *,
    resume: str | None = None,
    factory: Callable[[], Any] | None = None,
    source: GameSource | None = None,
) -> tuple[PreparedRun, ResumePoint | None]:
    """Open the game, and the checkpoint that `resume` names; complete config.toml with what was found.

    Raises:
        RunExistsError: if the run has checkpoints and `resume` is None.
        RetroGamerError: for anything wrong with the run, the game or the checkpoint. Nothing is written then.
    """
    if resume is None and directory.has_checkpoints:
        raise RunExistsError(
            f"{directory.path} already has checkpoints, and training never overwrites them.\n"
            f"Resume from the last one:  retro-gamer train {shlex.quote(str(directory.path))} --resume latest\n"
            "or create a new run:       retro-gamer create --game GAME --output DIR"
        )
    point = find_resume_point(directory, resume) if resume is not None else None
    characters = tuple(point.state["characters"]) if point else None
    prepared = prepare_run(directory, config, factory=factory, source=source, characters=characters)
    if point:
        resume_run(prepared, point)
    write_findings(prepared)
    return prepared, point


def prepare_run(
    directory: RunDirectory,
    config: RunConfig,
    *,
    factory: Callable[[], Any] | None = None,
    source: GameSource | None = None,
    characters: tuple[str, ...] | None = None,
) -> PreparedRun:
    """Return a new run, after a short random play of its game. Nothing is written.

    `source` is where the game is on this machine, if not where `config` says. `characters` is the set of the
    checkpoint to resume from; it is used if `config` has none.

    Raises:
        ConfigurationError: if `config` contradicts the game.
        GameNotFoundError, GameFailedError: if the game cannot be loaded or built.
    """
    settings, metadata = config.hyperparameters, config.metadata
    if factory is None and source is None:
        source = config.require_source()
    seed_generators(settings.seed)  # the game's modules may draw random numbers while they are imported
    make_game = factory if source is None else load_factory(source)
    assert make_game is not None
    opened = open_game(make_game, metadata, source, seed=settings.seed).checked(str(directory.config_path))
    session, metadata = opened.session, opened.metadata
    turns = settings.exploration_turns
    if metadata.character_set is not None or characters is not None:
        turns = min(turns, MOST_TURNS_TO_FIND_THE_PLAYER)
    found = play_randomly(session, turns, settings.seed, settings.max_turns_per_episode)
    metadata = _fill_gaps(metadata, found, characters)
    if not metadata.character_set:
        raise ConfigurationError([_no_characters(turns)], str(directory.config_path))
    if session.sharing is not None:
        settings = dataclasses.replace(settings, games_per_actor=1)
    network = make_spec(metadata, settings, found.has_player)
    return PreparedRun(
        directory=directory,
        config=config,
        run_spec=RunSpec(source=source, factory=factory, metadata=metadata, settings=settings, network=network),
        random_play=found,
        sharing=session.sharing,
    )


def _no_characters(turns: int) -> Problem:
    rule = "the board stayed empty for this many random turns, so the agent would see nothing"
    remedy = f"exploration_turns = {10 * turns}, or list the game's characters in character_set"
    return Problem(field="exploration_turns", value=turns, rule=rule, remedy=remedy)


def _fill_gaps(metadata: GameMetadata, found: RandomPlay, characters: tuple[str, ...] | None) -> GameMetadata:
    changes: dict[str, Any] = {}
    if metadata.character_set is None:
        changes["character_set"] = characters if characters is not None else found.characters or None
    if metadata.player is None and found.player is not None:
        changes["player"] = found.player
    return dataclasses.replace(metadata, **changes)


def write_findings(prepared: PreparedRun) -> None:
    """Add to config.toml what was found in the game, and every hyperparameter that the file leaves to its default."""
    before, after = prepared.config.metadata.to_mapping(), prepared.run_spec.metadata.to_mapping()
    found = {("metadata", name): value for name, value in after.items() if before.get(name) != value}
    settings = {
        ("hyperparameters", declared.name): value for declared, value in prepared.config.hyperparameters.items()
    }
    update_config(prepared.directory.path, found | settings)


def find_resume_point(directory: RunDirectory, text: str) -> ResumePoint:
    """Return the checkpoint that `text` names, loaded. ``latest`` skips damaged ones.

    Raises:
        CheckpointNotFoundError: if there is none.
        CheckpointError: if it is damaged, or all are. Training never starts from the beginning instead.
    """
    named = directory.resolve_resume(text)
    files = reversed(directory.checkpoints()) if text == LATEST else [named]
    damaged: list[str] = []
    for file in files:
        try:
            state = load_checkpoint(file.read(), str(file.path))
        except CheckpointError as error:
            damaged.append(str(error))
        except OSError as error:  # a bad sector, for example
            damaged.append(printable(f"{file.path} cannot be read: {error.strerror}"))
        else:
            return ResumePoint(file=file, state=state, skipped=tuple(damaged))
    raise CheckpointError("\n".join(damaged))


def resume_run(prepared: PreparedRun, point: ResumePoint) -> PreparedRun:
    """Return the run with the checkpoint's player and network, after checking that the checkpoint is compatible.

    The configuration may list characters after those of the checkpoint: the network grows by them.

    Raises:
        CheckpointError: naming every field that differs and why it matters, or if the checkpoint contradicts itself.
    """
    run_spec = prepared.run_spec
    differences = _find_differences(run_spec, point)
    if differences:
        raise CheckpointError(
            f"{point.file.path} is not compatible with {prepared.directory.config_path}:\n"
            + "\n".join(differences)
            + "\nChange these back in config.toml, or start a new run with 'retro-gamer create'."
        )
    _, network = read_network_spec(run_spec.metadata, point.state, str(point.file.path))
    metadata = dataclasses.replace(run_spec.metadata, player=run_spec.metadata.player or point.state.get("player"))
    network = network.with_characters(len(metadata.character_set or ()))
    return dataclasses.replace(prepared, run_spec=dataclasses.replace(run_spec, metadata=metadata, network=network))


def _find_differences(run_spec: RunSpec, point: ResumePoint) -> list[str]:
    differences = [
        f"  {found.field}: {quoted(found.trained, 120)} in the checkpoint, {quoted(found.present, 120)} here "
        f"({found.reason})"
        for found in find_mismatches(point.state, run_spec.metadata, run_spec.settings)
    ]
    characters = tuple(point.state["characters"])
    configured = run_spec.metadata.character_set or ()
    if configured[: len(characters)] != characters:
        differences.append(
            f"  character_set: {quoted(list(configured), 200)} must start with the checkpoint's "
            f"{quoted(list(characters), 200)} (the network has one input for each character, in this order)"
        )
    return differences


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """The task of one learner, and the writer for what it sends."""

    task: LearnerTask
    writer: RunWriter


class Attempts:
    """Makes one learner attempt after another: the first, and one for each learner that was lost."""

    def __init__(
        self, prepared: PreparedRun, point: ResumePoint | None, *, n_actors: int | None, minutes: float | None
    ) -> None:
        self.prepared = prepared
        self._point = point
        self._n_actors = n_actors
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._started: float | None = None
        self._writer: RunWriter | None = None
        self._has_written = False

    def next(self) -> Attempt:
        """Return the next attempt. The time limit runs from the first call.

        It resumes from the last checkpoint that an earlier attempt wrote. Until there is one it starts where the first
        attempt did: the run may hold none, or newer ones than the user asked for.
        """
        now = time.monotonic()
        self._started = self._started or now
        seconds = min(self._seconds, max(LEAST_SECONDS, self._seconds - (now - self._started)))
        self._has_written = self._has_written or (self._writer is not None and self._writer.has_written_checkpoint)
        prepared, point = self.prepared, self._point
        if self._has_written:
            # The character set in config.toml may have grown since the run was prepared.
            characters = load_config(prepared.directory.path).metadata.character_set
            metadata = dataclasses.replace(prepared.run_spec.metadata, character_set=characters)
            prepared = dataclasses.replace(prepared, run_spec=dataclasses.replace(prepared.run_spec, metadata=metadata))
            point = find_resume_point(prepared.directory, LATEST)
        self._writer = RunWriter(prepared.directory)
        if point is not None:
            prepared = resume_run(prepared, point)
            self._writer = RunWriter(prepared.directory, resumed_from=point.file, episodes=point.episodes)
        task = LearnerTask(
            run_spec=prepared.run_spec,
            state=point.state if point else None,
            snapshot=_read_snapshot(prepared.directory, point) if point else b"",
            remarks=tuple(_make_remarks(prepared, point)),
            n_actors=self._n_actors,
            seconds=seconds,
        )
        return Attempt(task=task, writer=self._writer)


def _read_snapshot(directory: RunDirectory, point: ResumePoint) -> bytes:
    name = point.state.get("replay_snapshot")
    try:
        return (SnapshotFolder(directory.path).read(name) or b"") if name is not None else b""
    except (OSError, MemoryError):  # training resumes without it
        return b""


def _make_remarks(prepared: PreparedRun, point: ResumePoint | None) -> Iterator[str]:
    """Yield what a user should know before the first episode."""
    if point is not None:
        for damage in point.skipped:
            yield f"Skipped a damaged newer checkpoint: {damage}"
        yield f"Resumed from {point.file.name} at episode {point.episodes}."
        if not has_digest(point.state):
            yield f"{point.file.name} {NO_DIGEST}."
        yield from describe_changes(prepared, point)
        episodes = prepared.run_spec.settings.training_episodes
        if point.episodes >= episodes:
            yield f"All {episodes} episodes are done. To train further, raise training_episodes in config.toml."
    found = prepared.random_play
    if found.first_failure is not None:
        yield f"{found.failures} of {found.episodes} random games failed, the first with: {found.first_failure}"
    if prepared.sharing is not None:
        yield f"Each actor plays one game at a time, because {prepared.sharing}."
    if prepared.run_spec.factory is not None:
        yield (
            "The game is a function that other programs cannot import. To watch the agent with 'retro-gamer play', "
            "move the function into a module and name that module under [game] in config.toml."
        )


def describe_changes(prepared: PreparedRun, point: ResumePoint) -> list[str]:
    """Return one line for each hyperparameter that differs from those the checkpoint was trained with."""
    before = point.state["hyperparameters"]
    return [
        f"{declared.name} changed from {quoted(before.get(declared.name))} to {quoted(value)}."
        for declared, value in prepared.run_spec.settings.items()
        if before.get(declared.name) != value
    ]
