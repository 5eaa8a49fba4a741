"""The description of a game: its keys, its reward and what its board shows."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from retro_gamer.errors import ConfigurationError, DescriptionNotFoundError, UsageError, printable
from retro_gamer.games.loading.find import GameSource, find_other_games, find_source, source_of_module
from retro_gamer.games.loading.pyproject import (
    GAME,
    GAMES,
    SECTION,
    Section,
    choose_section,
    folders_above,
    names_described,
    names_of,
    plain_fields,
    project_file_of,
    read_section,
    sections_above,
)
from retro_gamer.games.validation import VIEW, assignment, find_problems
from retro_gamer.toml import edit_toml, parse_toml, read_text

_ARROWS = ["KEY_RIGHT", "KEY_UP", "KEY_LEFT", "KEY_DOWN"]

BUILTIN: Mapping[str, Mapping[str, Any]] = {
    "retro.examples.snake": {
        "actions": _ARROWS,
        "reward": "score",
        "character_set": ["@", "*", ">", "<", "^", "v"],
        "spatial": True,
        "observe_state": [],
    },
    "retro.examples.labyrinth": {
        "actions": _ARROWS,
        "reward": "score",
        "character_set": ["*", "$", "█"],
        "spatial": True,
        "observe_state": [],
        "observe": "view",
    },
}
"""Descriptions of the framework's own examples that have none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundDescription:
    """The raw fields of a description, their origin, and whether they are built in.

    shared_with: other games of the folder that the same section describes, because it names no game
    remark: what the user should know of such a section
    """

    values: dict[str, Any]
    origin: str
    builtin: bool
    shared_with: tuple[str, ...] = ()
    remark: str | None = None


def find_description(source: GameSource) -> FoundDescription:
    """Return the game's own description, else the built-in one.

    The search goes through the module's folder and those above it, up to a folder of installed packages. A section for
    another game does not count.

    Raises:
        DescriptionNotFoundError, ConfigurationError (a pyproject.toml that is not TOML)
    """
    section = _find_section(source)
    if section is not None:
        origin = f"{section.heading} of {section.path}"
        others = _others_in(section, source) if section.is_shared else ()
        remark = (
            f"{origin} names no game, so it also describes {', '.join(others[:5])}. If it is meant for this game only, "
            f"add {assignment(GAME, source.names_in(section.path.parent)[0])} to it."
        )
        return FoundDescription(
            values=dict(section.values),
            origin=origin,
            builtin=False,
            shared_with=others,
            remark=printable(remark) if others else None,
        )
    if source.search_path is None and source.module in BUILTIN:
        values = {name: list(v) if isinstance(v, list) else v for name, v in BUILTIN[source.module].items()}
        return FoundDescription(values=values, origin=f"the built-in description of {source.module}", builtin=True)
    raise DescriptionNotFoundError(
        printable(
            f"{source.label} has no description: {_describe_search(source)}.\n"
            "Probe the game and write one:\n\n"
            f"    retro-gamer check {shlex.quote(source.path or source.module)} --write\n"
        )
    )


def _find_section(source: GameSource) -> Section | None:
    for path, section in sections_above(source.folder):
        chosen = choose_section(path, section, source.names_in(path.parent))
        if chosen is not None and not (chosen.is_shared and _is_built_by_another(chosen, source)):
            return chosen
    return None


def _is_built_by_another(section: Section, source: GameSource) -> bool:
    """Return whether the factory of a section that names no game is in the file of another game."""
    module = str(section.values.get("factory", "")).partition(":")[0].rpartition(".")[2]
    return module in [Path(name).stem for name in _others_in(section, source)]


def _others_in(section: Section, source: GameSource) -> tuple[str, ...]:
    """Return the files of other games in the folder of a plain section, without those that have their own section."""
    home = section.path.parent
    if source.file is None:
        return ()
    others = {file: names_of("", file, home) for file in find_other_games(home, source.file)}
    described = (read_section(section.path) or {}) if section.path.exists() else {}
    return tuple(
        str(file.relative_to(home))
        for file, names in others.items()
        if choose_section(section.path, {GAME: "", **described}, names) is None
    )


def _describe_search(source: GameSource) -> str:
    passed = [f"{path} describes {', '.join(names) or 'another game'}" for path, names in _sections_of_others(source)]
    if passed:
        return "; ".join(passed)
    n_above = len(list(folders_above(source.folder))) - 1
    above = f" and {n_above} {'folder' if n_above == 1 else 'folders'} above it" if n_above > 0 else ""
    return f"no pyproject.toml with a [{SECTION}] section in {source.folder}{above}"


def _sections_of_others(source: GameSource) -> list[tuple[Path, list[str]]]:
    return [(path, names_described(section)) for path, section in sections_above(source.folder)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DescriptionPlace:
    """Where a description is written: a file and the tables in it. `owner` is written into a new plain section."""

    path: Path
    tables: tuple[str, ...]
    owner: str | None = None


def find_description_place(source: GameSource, *, of_its_own: bool = False) -> DescriptionPlace:
    """Return where to write a description: the section that describes the game, else a new one.

    A new section is the plain one if the file describes no game yet, else one that names the game. So is one
    `of_its_own`, for a game to which the section that is found does not belong. The file is the nearest with our
    section, else that of the project, else a new one in the game's folder.

    Raises:
        UsageError: for an installed game.
        ConfigurationError: for a pyproject.toml that is not TOML.
    """
    folders = list(folders_above(source.folder))
    if not folders or folders[-1].parent != folders[-1]:
        raise UsageError(
            f"{source.label} is an installed package, which is not changed. Copy the game into a folder of your own "
            "and check it there."
        )
    found = _find_section(source)
    if found is not None and not (of_its_own and found.is_shared):
        return DescriptionPlace(path=found.path, tables=found.tables)
    is_package = source.search_path is not None and (folders[0] / "__init__.py").is_file()
    used = next((path for path, _ in sections_above(source.folder)), None)
    path = used or project_file_of(folders[0], is_package=is_package) or folders[0] / "pyproject.toml"
    section = (read_section(path) if path.exists() else None) or {}
    plain = Section(path=path, values=plain_fields(section))
    name = source.names_in(path.parent)[0]
    if plain.values or GAMES in section:
        return DescriptionPlace(path=path, tables=(*plain.tables, GAMES, name))
    return DescriptionPlace(path=path, tables=plain.tables, owner=name if _others_in(plain, source) else None)


def complete_description(place: DescriptionPlace, values: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the text of a pyproject.toml with those of `values` added that its section lacks, and their names.

    Raises:
        ConfigurationError: if the file is not TOML or its section is not a table.
    """
    path = place.path
    text = read_text(path) if path.exists() else ""
    section: Any = parse_toml(text, path)
    if path.exists():
        read_section(path)  # to refuse one that is no table
    for table in place.tables:
        section = section.get(table, {})
    missing = {name: value for name, value in values.items() if name not in section}
    added = {GAME: place.owner, **missing} if place.owner is not None and missing else missing
    changes = {(*place.tables, name): value for name, value in added.items()}
    return edit_toml(text, path, changes) or text, list(missing)


_LISTS = ("actions", "character_set", "observe_state", "answers", "board_size")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GameMetadata:
    """The fields of a ``[tool.retro-gamer]`` section, and the board size read from the game.

    Lists become tuples. `board_size` is (width, height) of the observed board, or of the window if `observe` is "view".
    Action i presses ``actions[i]``; action ``len(actions)`` presses nothing.

    Raises:
        ConfigurationError: from every constructor, with all problems together.
    """

    actions: tuple[str, ...]
    reward: str
    character_set: tuple[str, ...] | None = None
    spatial: bool = True
    observe_state: tuple[str, ...] = ()
    factory: str | None = None
    player: str | None = None
    answers: tuple[str, ...] | None = None
    observe: str = "board"
    end: Mapping[str, float] | None = None
    board_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        # dataclasses.asdict would copy deeply and lose the types of wrong values.
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        problems = find_problems(values)
        if problems:
            raise ConfigurationError(problems, "the game description")
        for name in _LISTS:
            if values[name] is not None:
                object.__setattr__(self, name, tuple(values[name]))
        if self.observe_state is None:
            object.__setattr__(self, "observe_state", ())
        if self.end is not None:
            object.__setattr__(self, "end", dict(self.end))

    @classmethod
    def from_pyproject(cls, game: str | ModuleType | Path) -> GameMetadata:
        """Return the description found for `game` or the built-in one, without the board size.

        Raises:
            GameNotFoundError, DescriptionNotFoundError, ConfigurationError
        """
        source = source_of_module(game) if isinstance(game, ModuleType) else find_source(str(game))
        found = find_description(source)
        return cls.from_mapping(found.values, found.origin)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str) -> GameMetadata:
        """Return the description in `values`; `where` names their origin in messages."""
        try:
            return cls(**values)
        except TypeError:  # fields that are unknown or missing
            raise ConfigurationError(find_problems(values), where) from None
        except ConfigurationError as error:
            raise ConfigurationError(error.problems, where) from None

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields that are set, in plain TOML types and in the order of declaration.

        The default of `observe` is left out.
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None and (name != "observe" or self.sees_view)
        }

    @property
    def sees_view(self) -> bool:
        """Whether the agent observes the visible window instead of the whole board."""
        return self.observe == VIEW

    @property
    def n_actions(self) -> int:
        """The number of actions, including the no-op, which is the last."""
        return len(self.actions) + 1

    def key_of(self, action_index: int) -> str | None:
        """Return the key that an action presses, None for the no-op."""
        if not 0 <= action_index < self.n_actions:
            raise IndexError(f"action {action_index} is outside 0 <= action < {self.n_actions}")
        return self.actions[action_index] if action_index < len(self.actions) else None
