"""What happens between the command and the first turn: the game is opened, looked at, and written down."""

from __future__ import annotations

import dataclasses
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from retro_gamer.errors import CheckpointError, ConfigurationError, Problem, RunExistsError, quoted
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.game_rules import read_board_size
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.open_game import find_session_problems
from retro_gamer.games.random_play import Discovery, discover
from retro_gamer.games.session import GameSession, seed_generators
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.checkpoint import load_checkpoint, read_trained_shape
from retro_gamer.run.config import load_config, update_config
from retro_gamer.run.directory import LATEST, CheckpointFile, RunDirectory, checkpoint_name
from retro_gamer.run.snapshots import SnapshotFolder
from retro_gamer.run.writer import DirectoryWriter
from retro_gamer.training.learner_main import LearnerTask
from retro_gamer.training.loop.checkpointing import describe_fit

MOST_TURNS_FOR_THE_PLAYER = 200
"""Random turns played, at most, where the characters are known: they show which agent the keys move."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedRun:
    """A run whose game has been opened and whose description has no gaps left."""

    directory: RunDirectory
    settings: Hyperparameters
    written: Hyperparameters
    """The settings as config.toml is to have them; those above may leave out what this game cannot do."""
    metadata: GameMetadata
    source: GameSource | None
    factory: Callable[[], Any] | None
    """Given only where the game was handed over as a function."""
    discovery: Discovery
    sharing: str | None = None
    """Why each actor plays one game only, None if it does not."""


def prepare_run(
    directory: RunDirectory,
    factory: Callable[[], Any] | None = None,
    characters: tuple[str, ...] | None = None,
    source: GameSource | None = None,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> PreparedRun:
    """Return the run in `directory`, its game played at random for a moment. Nothing is written.

    `changes` are hyperparameters in the place of those of config.toml. `characters` is the set of the checkpoint that
    is resumed, used where the configuration names none. `source` is where the game is now, if that is not where the
    configuration has it: on a machine it was sent to.

    Raises:
        ConfigurationError: if config.toml, or what it would be with `changes`, is wrong or does not fit the game.
        GameNotFoundError, GameFailedError: if the game cannot be loaded or built.
    """
    config = load_config(directory.path)
    settings, metadata = config.hyperparameters.changed(changes), config.metadata
    if factory is None and source is None:
        source = config.require_source()
    seed_generators(settings.seed)  # its modules may draw while they are loaded
    make_game = factory if source is None else load_factory(source)
    assert make_game is not None
    session = GameSession(make_game, metadata, source)
    session.seed(settings.seed)
    session.start()
    problems = find_session_problems(session)
    if problems:
        raise ConfigurationError(problems, str(directory.config_path))
    metadata = dataclasses.replace(metadata, board_size=read_board_size(session.game, view=metadata.sees_view))
    turns = settings.exploration_turns
    if metadata.character_set is not None or characters is not None:
        turns = min(turns, MOST_TURNS_FOR_THE_PLAYER)
    discovery = discover(make_game, metadata, turns, settings.seed, settings.max_turns_per_episode, source, session)
    metadata = _fill_gaps(metadata, discovery, characters)
    if not metadata.character_set:
        raise ConfigurationError([_nothing_seen(turns)], str(directory.config_path))
    sharing = session.sharing
    return PreparedRun(
        directory=directory,
        written=settings,
        settings=settings if sharing is None else dataclasses.replace(settings, games_per_actor=1),
        metadata=metadata,
        source=source,
        factory=factory,
        discovery=discovery,
        sharing=sharing,
    )


def _nothing_seen(turns: int) -> Problem:
    rule = "so many random turns of the game show no character at all, and the agent would see nothing"
    remedy = f"exploration_turns = {10 * turns}, or list in character_set what the game shows"
    return Problem(field="exploration_turns", value=turns, rule=rule, remedy=remedy)


def _fill_gaps(metadata: GameMetadata, discovery: Discovery, characters: tuple[str, ...] | None) -> GameMetadata:
    changes: dict[str, Any] = {}
    if metadata.character_set is None:
        changes["character_set"] = characters if characters is not None else discovery.characters or None
    if metadata.player is None and discovery.player is not None:
        changes["player"] = discovery.player
    return dataclasses.replace(metadata, **changes)


def write_down(prepared: PreparedRun) -> None:
    """Write into config.toml what was found, and every hyperparameter, also those it leaves to their defaults."""
    directory = prepared.directory
    old, new = load_config(directory.path).metadata.to_mapping(), prepared.metadata.to_mapping()
    changes = {("metadata", name): value for name, value in new.items() if old.get(name) != value}
    update_config(
        directory.path,
        changes | {("hyperparameters", declared.name): value for declared, value in prepared.written.items()},
    )


REASONS = {
    "actions": "the network has one output for each action",
    "reward": "what was learned is the value of another reward",
    "spatial": "it chooses the kind of network",
    "observe_state": "the network has one input for each value",
    "board_size": "the network was built for that board",
    "observe": "board and window show other things in the same places",
    "n_layers": "it is the shape of the network",
    "layer_size": "it is the shape of the network",
    "crop_radius": "it is the shape of the network",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """A checkpoint that fits the run, loaded."""

    file: CheckpointFile
    state: Mapping[str, Any]
    passed_over: tuple[str, ...] = ()
    """What is wrong with newer checkpoints, which were passed over."""

    @property
    def episodes(self) -> int:
        """Episodes completed at the checkpoint."""
        return int(self.state["episode"])

    @property
    def name(self) -> str:
        """What it is called in a run that goes on from it, whatever it was called where it lay."""
        return checkpoint_name(self.episodes)

    @property
    def turns(self) -> int:
        """Turns played at the checkpoint."""
        return int(self.state["total_turns"])


def find_resume_point(directory: RunDirectory, text: str) -> ResumePoint:
    """Return the checkpoint that `text` names, loaded. If that is ``latest``, damaged ones are passed over.

    Raises:
        CheckpointNotFoundError: if there is none.
        CheckpointError: if it is damaged or not ours, or all of them are; nothing is ever begun anew instead.
    """
    named = directory.resolve_resume(text)
    files = reversed(directory.checkpoints()) if text == LATEST else [named]
    wrong: list[str] = []
    for file in files:
        try:
            state = load_checkpoint(file.path.read_bytes(), str(file.path))
        except CheckpointError as error:
            wrong.append(str(error))
        else:
            return ResumePoint(file=file, state=state, passed_over=tuple(wrong))
    raise CheckpointError("\n".join(wrong))


def fit_to_checkpoint(prepared: PreparedRun, point: ResumePoint) -> PreparedRun:
    """Return the run with the checkpoint's characters and player, after checking that the two fit.

    Characters that were only discovered are taken from the checkpoint; characters that the configuration names
    beyond those of the checkpoint are learned from there on.

    Raises:
        CheckpointError: naming every field that differs, and why it matters; or if the checkpoint contradicts itself.
    """
    here = describe_fit(prepared.metadata, prepared.settings)
    there = {**point.state["spec"], **point.state["must_match"]}  # checkpoints of before lack the crop_radius there
    differences = [
        f"  {name}: {quoted(there.get(name), 120)} in the checkpoint, {quoted(here[name], 120)} here ({REASONS[name]})"
        for name in here
        if _plain(here[name]) != _plain(there.get(name))
    ]
    characters = tuple(point.state["characters"])
    configured = prepared.metadata.character_set or ()
    if configured[: len(characters)] != characters:
        differences.append(
            f"  character_set: the checkpoint's {quoted(list(characters), 200)} must be the beginning of the "
            f"configuration's {quoted(list(configured), 200)} (the network is laid out in that order)"
        )
    if differences:
        raise CheckpointError(
            f"{point.file.path} does not fit {prepared.directory.config_path}:\n"
            + "\n".join(differences)
            + "\nSet these back in config.toml, or start a new run with 'retro-gamer create'."
        )
    read_trained_shape(prepared.metadata, point.state, str(point.file.path))
    metadata = dataclasses.replace(prepared.metadata, player=prepared.metadata.player or point.state["player"])
    return dataclasses.replace(prepared, metadata=metadata)


def describe_changes(prepared: PreparedRun, point: ResumePoint) -> list[str]:
    """Return what differs from the settings the checkpoint was trained with, a line each."""
    before = point.state["hyperparameters"]
    return [
        f"{declared.name}: {quoted(before.get(declared.name))} until here, {quoted(value)} from here on"
        for declared, value in prepared.settings.items()
        if before.get(declared.name) != value
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


LEAST_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """The learner's task and the writer for what it sends."""

    task: LearnerTask
    writer: DirectoryWriter


class Attempts:
    """Prepares a run once, its game opened, and hands out the first part and those after a learner was lost.

    prepared: the run
    point: the checkpoint that the first part goes on from, None if it begins anew
    """

    def __init__(
        self,
        directory: RunDirectory,
        *,
        resume: str | None,
        n_actors: int | None,
        minutes: float | None,
        factory: Callable[[], Any] | None = None,
        source: GameSource | None = None,
        changes: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Open the game and, with `resume`, the checkpoint it names; then write into config.toml what was found.

        `changes` are hyperparameters in the place of those of config.toml; they are written, too.

        Raises:
            RunExistsError: if the run was trained before and `resume` is None.
            RetroGamerError: whatever is wrong with the run, the game or the checkpoint.
        """
        self._directory = directory
        self._n_actors = n_actors
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._began = math.nan
        self._writer = DirectoryWriter(directory)
        self._has_written = False
        self.point = find_resume_point(directory, resume) if resume is not None else None
        if self.point is None and directory.has_checkpoints:
            raise RunExistsError(
                f"{directory.path} holds checkpoints of an earlier training, which is not trained over.\n"
                f"Go on from the last one:  retro-gamer train {shlex.quote(str(directory.path))} --resume latest\n"
                "or make a new run with:   retro-gamer create --game MODULE --output DIR"
            )
        characters = tuple(self.point.state["characters"]) if self.point else None
        self.prepared = prepare_run(directory, factory, characters, source, changes)
        if self.point:
            fit_to_checkpoint(self.prepared, self.point)
        write_down(self.prepared)

    def first(self) -> Attempt:
        """Return the part that this sitting begins with; its time runs from now on."""
        self._began = time.monotonic()
        return self._make(self.prepared, self.point, self._seconds)

    def after_loss(self) -> Attempt:
        """Return the part that goes on from the last checkpoint of this sitting, or from where the first part did.

        Until one is written the run may hold none, or newer ones than that which was asked for.
        """
        seconds = max(LEAST_SECONDS, self._seconds - (time.monotonic() - self._began))
        self._has_written = self._has_written or self._writer.has_written_checkpoint
        if not self._has_written:
            return self._make(self.prepared, self.point, seconds)
        # The character set may have grown since the run was prepared.
        characters = load_config(self._directory.path).metadata.character_set
        metadata = dataclasses.replace(self.prepared.metadata, character_set=characters)
        prepared = dataclasses.replace(self.prepared, metadata=metadata)
        return self._make(prepared, find_resume_point(self._directory, LATEST), seconds)

    def _make(self, prepared: PreparedRun, point: ResumePoint | None, seconds: float) -> Attempt:
        self._writer = DirectoryWriter(self._directory)
        if point is not None:
            prepared = fit_to_checkpoint(prepared, point)
            self._writer = DirectoryWriter(self._directory, resumed_from=point.file, episodes=point.episodes)
        task = LearnerTask(
            source=prepared.source,
            factory=prepared.factory,
            metadata=prepared.metadata,
            settings=prepared.settings,
            has_player=prepared.discovery.has_player,
            state=point.state if point else None,
            snapshot=_read_snapshot(self._directory, point) if point else b"",
            remarks=tuple(_make_remarks(prepared, point)),
            n_actors=self._n_actors,
            seconds=seconds,
        )
        return Attempt(task=task, writer=self._writer)


def _read_snapshot(directory: RunDirectory, point: ResumePoint) -> bytes:
    name = point.state.get("replay_snapshot")
    return (SnapshotFolder(directory.path).read(name) or b"") if isinstance(name, str) else b""


def _make_remarks(prepared: PreparedRun, point: ResumePoint | None) -> Iterator[str]:
    """Yield what a user should know before the first episode."""
    if point is not None:
        for wrong in point.passed_over:
            yield f"A newer checkpoint was passed over: {wrong}"
        yield f"Resumed from {point.file.name} at episode {point.episodes}."
        yield from describe_changes(prepared, point)
        if point.episodes >= prepared.settings.training_episodes:
            yield (
                f"All {prepared.settings.training_episodes} episodes are done, so nothing is left to train. "
                "To go on, raise training_episodes in config.toml."
            )
    found = prepared.discovery
    if found.first_failure is not None:
        yield f"{found.failures} of {found.episodes} random games failed, the first with: {found.first_failure}"
    if prepared.sharing is not None:
        yield f"Each actor plays one game at a time, because {prepared.sharing}."
    if prepared.factory is not None:
        yield (
            "The game was given as a function that cannot be imported. It trains, but to watch the agent with "
            "'retro-gamer play' put the function into a module and name that under [game] in config.toml."
        )
