"""The description of a game: its keys, its reward and what its board shows."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from retro_gamer.errors import ConfigurationError, DescriptionNotFoundError, UsageError, printable
from retro_gamer.games.loading.find import (
    SECTION,
    GameSource,
    find_section,
    find_source,
    folders_above,
    read_section,
    source_of_module,
)
from retro_gamer.games.validation import VIEW, find_problems
from retro_gamer.toml import edit_toml, read_text

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
    """The raw fields of a description, their origin, and whether they are built in."""

    values: dict[str, Any]
    origin: str
    builtin: bool


def find_description(source: GameSource) -> FoundDescription:
    """Return the game's own description, else the built-in one.

    The search goes through the module's folder and those above it, up to a folder of installed packages.

    Raises:
        DescriptionNotFoundError, ConfigurationError (a pyproject.toml that is not TOML)
    """
    folder = source.folder
    found = find_section(folder)
    if found:
        path, values = found
        return FoundDescription(values=dict(values), origin=f"[{SECTION}] of {path}", builtin=False)
    if source.search_path is None and source.module in BUILTIN:
        values = {name: list(v) if isinstance(v, list) else v for name, v in BUILTIN[source.module].items()}
        return FoundDescription(values=values, origin=f"the built-in description of {source.module}", builtin=True)
    searched = list(folders_above(folder))
    n_above = len(searched) - 1
    above = f" and {n_above} {'folder' if n_above == 1 else 'folders'} above it" if n_above > 0 else ""
    raise DescriptionNotFoundError(
        printable(
            f"{source.label} has no description: no pyproject.toml with a [{SECTION}] section in {folder}{above}.\n"
            "Probe the game and write one:\n\n"
            f"    retro-gamer check {shlex.quote(source.path or source.module)} --write\n"
        )
    )


def find_description_file(source: GameSource) -> Path:
    """Return the pyproject.toml to write a description into: the one that holds it, else one in the game's folder.

    Raises:
        UsageError: for an installed game.
    """
    folders = list(folders_above(source.folder))
    if not folders or folders[-1].parent != folders[-1]:
        raise UsageError(
            f"{source.label} is an installed package, which is not changed. Copy the game into a folder of your own "
            "and check it there."
        )
    found = find_section(source.folder)
    return found[0] if found else folders[0] / "pyproject.toml"


def complete_description(path: Path, values: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the text of a pyproject.toml with those of `values` added that its section lacks, and their names.

    Raises:
        ConfigurationError: if the file is not TOML or its section is not a table.
    """
    section = (read_section(path) if path.exists() else None) or {}
    missing = {name: value for name, value in values.items() if name not in section}
    text = read_text(path) if path.exists() else ""
    changes = {(*SECTION.split("."), name): value for name, value in missing.items()}
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
