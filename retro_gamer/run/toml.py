"""Reading a TOML file from anywhere with one clear error, and spelling single values."""

from __future__ import annotations

import decimal
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Array, Table

from retro_gamer.errors import ConfigurationError, Problem, UsageError, printable
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.loading.pyproject import SECTION, folders_above
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.files import write_atomic

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


def update_config(run_dir: str | Path, changes: Mapping[tuple[str, str], Any]) -> bool:
    """Set values of config.toml, such as ``{("metadata", "character_set"): ["@"]}``; return whether any was new.

    Comments, order, line ends and all other values stay as the user wrote them. A table or name
    that is missing is added; a value that is there already is not written again.

    Raises:
        ConfigurationError: if the file is not TOML.
        OSError: if it cannot be written; the old file is then untouched.
    """
    path = RunDirectory.open(run_dir).config_path
    text = read_text(path)
    wanted = parse_toml(text, path)
    mark = BOM if text.startswith(BOM) else ""
    document = tomlkit.parse(text.removeprefix(BOM))
    changed = False
    for (table, name), value in changes.items():
        plain = list(value) if isinstance(value, tuple) else value
        if not _same(wanted.get(table, {}).get(name), plain):
            wanted.setdefault(table, {})[name] = plain
            _set_leaf(document, table, name, plain)
            changed = True
    if not changed:
        return False
    new_text = mark + _with_line_ends(tomlkit.dumps(document), text)
    if parse_toml(new_text, path) != wanted:
        raise RuntimeError(f"{path} could not be changed without changing other values in it; nothing was written")
    write_atomic(path, new_text.encode("utf-8"))
    return True


def _set_leaf(document: tomlkit.TOMLDocument, table: str, name: str, value: Any) -> None:
    if table not in document:
        document[table] = tomlkit.table()
    content: Any = document[table]
    old = content.get(name)
    if isinstance(old, Array) and isinstance(value, list) and value[: len(old)] == old.unwrap():
        # What grows at its end keeps the layout and the comments of what it had.
        for entry in value[len(old) :]:
            old.append(tomlkit.value(toml_text(entry)))
        return
    content[name] = tomlkit.value(toml_text(value))


def _same(old: object, new: object) -> bool:
    # A whole number that stands for a float (gamma = 1) may stay as the user wrote it.
    return isinstance(old, bool) is isinstance(new, bool) and old == new


def _with_line_ends(text: str, model: str) -> str:
    """Return `text` with CRLF on every line if `model` has it on every line: what was added has plain ones."""
    if model.count("\n") != model.count("\r\n") or "\r\n" not in model:
        return text
    return text.replace("\r\n", "\n").replace("\n", "\r\n")
