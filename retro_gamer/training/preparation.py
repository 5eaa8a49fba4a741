"""What happens between the command and the first turn: the game is opened, looked at, and written down."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from retro_gamer.errors import ConfigurationError, Problem
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.game_rules import read_board_size
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.open_game import find_session_problems
from retro_gamer.games.random_play import Discovery, discover
from retro_gamer.games.session import GameSession, seed_generators
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.toml import update_config

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
