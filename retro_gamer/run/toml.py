"""Reading a TOML file from anywhere with one clear error, and spelling single values."""

from __future__ import annotations

import decimal
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from retro_gamer.errors import ConfigurationError, Problem, printable

BOM = "\ufeff"


def read_text(path: Path) -> str:
    """Return the text of a file as it is, with the line ends and the byte order mark it has.

    Raises:
        ConfigurationError: if it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        problem = Problem(
            field=path.name,
            value=error.object[error.start : error.start + 10],
            rule=f"is not UTF-8 text (byte {error.start})",
            remedy="save the file as UTF-8 in your editor",
        )
        raise ConfigurationError([problem], printable(str(path))) from None


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Return what `text`, read from `path`, holds.

    Raises:
        ConfigurationError: if it is not TOML or nested too deeply, naming the line.
    """
    try:
        return tomllib.loads(text.removeprefix(BOM))
    except RecursionError:
        problem = Problem(
            field=path.name, value="…", rule="is nested too deeply to be read", remedy="undo the last edit of the file"
        )
    except ValueError as error:
        problem = _syntax_problem(text, path, str(error))
    raise ConfigurationError([problem], printable(str(path)))


def toml_text(value: bool | int | float | str | Sequence[Any] | Mapping[str, Any]) -> str:
    """Return `value` in TOML, numbers without an exponent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = format(decimal.Decimal(repr(value)), "f")
        return text if "." in text or not text.strip("-").isdigit() else f"{text}.0"
    if isinstance(value, (int, str)):
        return tomlkit.item(value).as_string()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{tomlkit.item(str(k)).as_string()} = {toml_text(v)}" for k, v in value.items()) + " }"
    return "[" + ", ".join(toml_text(entry) for entry in value) + "]"


def _syntax_problem(text: str, path: Path, message: str) -> Problem:
    lines = text.splitlines()
    found = re.search(r"line (\d+)", message)
    number = int(found[1]) if found else len(lines)
    return Problem(
        field=f"{path.name}, line {number}",
        value=lines[number - 1].strip() if 0 < number <= len(lines) else "",
        rule=f"is not TOML: {printable(message)}",
        remedy='name = "text", name = 3, name = true or name = ["a", "b"] below a [heading]',
    )
