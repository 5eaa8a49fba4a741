"""Finding the description of a game: its own, or a built-in one for the framework's examples."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from retro_gamer.errors import DescriptionNotFoundError, printable
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.loading.pyproject import SECTION, find_section, folders_above

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
"""Descriptions of the framework's own examples that ship none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundDescription:
    """The raw fields of a description, where they were found, and whether they are ours."""

    values: dict[str, Any]
    origin: str
    builtin: bool


def find_description(source: GameSource) -> FoundDescription:
    """Return the game's own description, else the built-in one.

    Searched are the module's folder and those above it, up to a folder of installed packages.

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
            "Find out what the game is like, and have one written:\n\n"
            f"    retro-gamer check {shlex.quote(source.path or source.module)} --write\n"
        )
    )
