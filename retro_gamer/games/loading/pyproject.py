"""Reading ``[tool.retro-gamer]`` sections from the pyproject.toml files in and above a folder."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retro_gamer.errors import ConfigurationError, Problem, printable

SECTION = "tool.retro-gamer"
_LIBRARY_FOLDERS = ("site-packages", "dist-packages")


def folders_above(folder: Path) -> Iterator[Path]:
    """Yield `folder` and those above it, up to but without one that holds installed packages."""
    folder = Path(os.path.abspath(folder))
    for candidate in (folder, *folder.parents):
        if candidate.name in _LIBRARY_FOLDERS:
            return
        yield candidate


def find_section(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the nearest file in or above `folder` that has our section, with the section.

    Raises:
        ConfigurationError: for a file on the way that is not TOML, or whose section is no table.
    """
    for candidate in folders_above(folder):
        path = candidate / "pyproject.toml"
        if path.is_file():
            section = read_section(path)
            if section is not None:
                return path, section
    return None


def read_section(path: Path) -> dict[str, Any] | None:
    """Return the section of one pyproject.toml, or None if it has none."""
    document = _read_toml(path)
    tool = document.get("tool")
    if not isinstance(tool, dict) or "retro-gamer" not in tool:
        return None
    section = tool["retro-gamer"]
    if isinstance(section, dict):
        return section
    problem = Problem(
        field=SECTION, value=section, rule="must be a table of fields, not one value", remedy=f"[{SECTION}]"
    )
    raise ConfigurationError([problem], str(path))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"is not UTF-8 text (byte {error.start})", "save the file as UTF-8") from None
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}", "make the file readable") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(path, text, str(error)) from None
    except RecursionError:
        raise _unreadable(path, "is nested too deeply", "write its tables and lists flat") from None


def _unreadable(path: Path, rule: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Problem(field=path.name, value=str(path), rule=rule, remedy=remedy)], str(path))


def _not_toml(path: Path, text: str, message: str) -> ConfigurationError:
    found = re.search(r"at line (\d+)", message)
    lines = text.splitlines()
    number = int(found.group(1)) if found else max(1, len(lines))
    line = lines[number - 1].strip() if number <= len(lines) else ""
    problem = Problem(
        field=f"{path.name}, line {number}",
        value=line,
        rule=f"is not TOML: {printable(message)}",
        remedy='lines of the form name = "text", name = 3, name = ["a", "b"] under a [heading]',
    )
    return ConfigurationError([problem], f"{path}, line {number}")
