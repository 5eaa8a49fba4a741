"""What a pyproject.toml says about games: the sections that describe them, and the functions that start them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from retro_gamer.errors import ConfigurationError, Problem
from retro_gamer.toml import read_toml, to_toml

SECTION = "tool.retro-gamer"
GAMES = "games"
"""The table of the section that holds the sections of single games, by name."""
GAME = "game"
"""The field of the plain section that names its game. Without it, the section describes every game of its folder."""
_TABLES = tuple(SECTION.split("."))
_LIBRARY_FOLDERS = ("site-packages", "dist-packages")
_ENTRIES = ("main", "game")
_SCRIPT = re.compile(r"\s*([\w.]+)\s*:\s*([\w.]+)\s*(\[.*\])?\s*")
_PROJECT_TABLES = ("project", "build-system")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A section that describes games: the plain one, or that of one game.

    values: its fields
    name: the game that it names, None if it is plain
    is_shared: whether it would describe any game of its folder
    """

    path: Path
    values: dict[str, Any]
    name: str | None = None
    is_shared: bool = False

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables in which its fields are."""
        return _TABLES if self.name is None else (*_TABLES, GAMES, self.name)

    @property
    def heading(self) -> str:
        """Its line in the file."""
        return heading_of(self.tables)


def heading_of(tables: Sequence[str]) -> str:
    """Return the line that begins a table."""
    spelled = (table if re.fullmatch(r"[A-Za-z0-9_-]+", table) else to_toml(table) for table in tables)
    return f"[{'.'.join(spelled)}]"


def folders_above(folder: Path) -> Iterator[Path]:
    """Yield `folder` and its parents, up to but without a folder of installed packages."""
    folder = Path(folder).absolute()
    for candidate in (folder, *folder.parents):
        if candidate.name in _LIBRARY_FOLDERS:
            return
        yield candidate


def sections_above(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each pyproject.toml in or above `folder` that has our section, the nearest first, and the section.

    Raises:
        ConfigurationError: for a file on the way that is not TOML, or whose section is not a table.
    """
    for candidate in folders_above(folder):
        path = candidate / "pyproject.toml"
        section = read_section(path) if path.is_file() else None
        if section is not None:
            yield path, section


def find_section(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the nearest pyproject.toml in or above `folder` that has our section, and the section.

    Raises:
        ConfigurationError: for a file on the way that is not TOML, or whose section is not a table.
    """
    return next(sections_above(folder), None)


def read_section(path: Path) -> dict[str, Any] | None:
    """Return our section of one pyproject.toml, or None."""
    tool = read_toml(path).get("tool")
    if not isinstance(tool, dict) or "retro-gamer" not in tool:
        return None
    return _as_table(tool["retro-gamer"], SECTION, path)


def choose_section(path: Path, section: Mapping[str, Any], names: Sequence[str]) -> Section | None:
    """Return the part of a file's section that describes the game of these names, None if it describes only others.

    The game's own section comes first, then one of a module of its package if that is the only one, then the plain one.

    Raises:
        ConfigurationError: if the game's section is not a table.
    """
    games = _as_table(section.get(GAMES, {}), f"{SECTION}.{GAMES}", path)
    keys = {_dotted(key): key for key in games}
    inside = [key for key in keys for name in names if key.startswith(f"{name}.")]
    for name in (*names, *(inside if len(inside) == 1 else ())):
        if name in keys:
            values = _as_table(games[keys[name]], f"{SECTION}.{GAMES}.{keys[name]}", path)
            return Section(path=path, values=values, name=keys[name])
    plain = plain_fields(section)
    owner = section.get(GAME)
    if (GAMES in section and not plain) or (isinstance(owner, str) and _dotted(owner) not in names):
        return None
    return Section(path=path, values=plain, is_shared=owner is None)


def plain_fields(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the plain section, without what names games."""
    return {name: value for name, value in section.items() if name not in (GAMES, GAME)}


def names_described(section: Mapping[str, Any]) -> list[str]:
    """Return the games that a file's section names."""
    games = section.get(GAMES)
    owner = section.get(GAME)
    return [*([owner] if isinstance(owner, str) else []), *(games if isinstance(games, dict) else ())]


def names_of(module: str, file: Path | None, folder: Path) -> list[str]:
    """Return the names that a section in `folder` may give a game, first the one that tells it from all others."""
    inside = file is not None and file.is_relative_to(folder)
    names = [".".join(file.relative_to(folder).with_suffix("").parts)] if file is not None and inside else []
    names = [re.sub(r"\.__(init|main)__$", "", name) for name in (*names, module)]
    packages = [name.rpartition(".")[0] for name in names if name.rpartition(".")[2] in _ENTRIES]
    return list(dict.fromkeys(name for name in (*names, *packages) if name))


def project_file_of(folder: Path, *, is_package: bool) -> Path | None:
    """Return the pyproject.toml of the project whose code is in `folder`, if the code belongs to one.

    The code of a package belongs to the nearest project above it, any other only to one in its folder or above `src`.
    """
    near = [folder, *([folder.parent] if folder.name == "src" else [])]
    for candidate in folders_above(folder) if is_package else near:
        path = candidate / "pyproject.toml"
        if path.is_file() and any(table in read_toml(path) for table in (*_PROJECT_TABLES, "tool")):
            return path
    return None


def scripts_above(folder: Path) -> tuple[Path, list[str]] | None:
    """Return the nearest folder in or above `folder` whose pyproject.toml names scripts, and these as "module:name"."""
    for candidate in folders_above(folder):
        path = candidate / "pyproject.toml"
        scripts = read_scripts(path) if path.is_file() else []
        if scripts:
            return candidate, scripts
    return None


def read_scripts(path: Path) -> list[str]:
    """Return the functions that the project starts as programs, as "module:name", in the order of the file."""
    try:
        content = read_toml(path)
    except ConfigurationError:
        return []  # the search for the description reports it
    tool = content.get("tool")
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    project = content.get("project")
    tables = [_get(project, "scripts"), _get(project, "gui-scripts"), _get(poetry, "scripts")]
    entries = [entry for table in tables if isinstance(table, dict) for entry in table.values()]
    matches = [_SCRIPT.fullmatch(entry) for entry in entries if isinstance(entry, str)]
    return list(dict.fromkeys(f"{match[1]}:{match[2]}" for match in matches if match))


def _get(table: object, name: str) -> object:
    return table.get(name) if isinstance(table, dict) else None


def _dotted(name: str) -> str:
    return name.removesuffix(".py").replace("/", ".")


def _as_table(value: Any, field: str, path: Path) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    rule = "must be a table of fields, not a single value"
    raise ConfigurationError([Problem(field=field, value=value, rule=rule, remedy=f"[{field}]")], str(path))
