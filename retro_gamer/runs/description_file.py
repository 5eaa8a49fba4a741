"""Writing a game's description into the pyproject.toml beside it, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table

from retro_gamer.errors import UsageError, printable
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.loading.pyproject import SECTION, folders_above
from retro_gamer.run.toml import BOM, parse_toml, read_text, toml_text
from retro_gamer.runs.atomic import write_atomic

_NAME = "retro-gamer"


def place_of_description(source: GameSource) -> Path:
    """Return the pyproject.toml that a game's description belongs into: the one that has it, else the one beside it.

    Raises:
        UsageError: for an installed game, whose folder is not the user's to write in.
    """
    folders = list(folders_above(source.folder))
    if not folders or folders[-1].parent != folders[-1]:
        raise UsageError(
            f"{source.label} is installed, and nothing is written among installed packages. Copy the game into a "
            "folder of your own and check it there."
        )
    for folder in folders:
        path = folder / "pyproject.toml"
        if path.is_file() and _NAME in parse_toml(read_text(path), path).get("tool", {}):
            return path
    return folders[0] / "pyproject.toml"


def write_description(path: Path, values: Mapping[str, Any]) -> list[str]:
    """Add those of `values` that the file's section lacks; return their names. All else stays as it is.

    Raises:
        ConfigurationError: if the file is not TOML.
        UsageError: if its section is no table.
        OSError: if it cannot be written; the old file is then untouched.
    """
    text = read_text(path) if path.exists() else ""
    before = parse_toml(text, path)
    document = tomlkit.parse(text.removeprefix(BOM))
    section = before.get("tool", {}).get(_NAME, {})
    if not isinstance(section, dict):
        raise UsageError(f"{printable(str(path))}: {SECTION} must be a table of fields; write [{SECTION}]")
    missing = {name: value for name, value in values.items() if name not in section}
    if not missing:
        return []
    table = _section_of(document)
    for name, value in missing.items():
        table[name] = tomlkit.value(toml_text(value))
    mark = BOM if text.startswith(BOM) else ""
    new_text = mark + tomlkit.dumps(document)
    wanted = {**before, "tool": {**before.get("tool", {}), _NAME: {**section, **missing}}}
    if parse_toml(new_text, path) != wanted:
        raise RuntimeError(f"{path} could not be changed without changing other values in it; nothing was written")
    write_atomic(path, new_text.encode("utf-8"))
    return list(missing)


def _section_of(document: tomlkit.TOMLDocument) -> Any:
    if "tool" not in document:
        document["tool"] = tomlkit.table(is_super_table=True)
    tool: Any = document["tool"]
    if _NAME not in tool:
        table: Table = tomlkit.table()
        tool[_NAME] = table
    return tool[_NAME]
