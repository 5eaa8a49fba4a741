"""TOML files: one reader whose errors name the line, one writer of values, one editor that keeps all other text."""

from __future__ import annotations

import decimal
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retro_gamer.errors import ConfigurationError, Problem, printable

LARGEST_BYTES = 100_000_000
MOST_DOTS = 2000
"""In a line: each dot of a key nests a table."""
_BYTE_ORDER_MARK = "\ufeff"
_JOINER = "\u200d"  # part of many emoji, and harmless in a terminal
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def read_toml(path: Path) -> dict[str, Any]:
    """Return the contents of a TOML file.

    Raises:
        ConfigurationError: if the file cannot be read, is not UTF-8 or not TOML.
    """
    try:
        return parse_toml(read_text(path), path)
    except OSError as error:
        raise _unreadable(path, str(path), f"cannot be read: {error.strerror}", "make the file readable") from None


def read_text(path: Path) -> str:
    """Return the text of a file with its line ends and its byte order mark.

    Raises:
        ConfigurationError: if it is not UTF-8, or far larger than any such file.
    """
    if path.stat().st_size > LARGEST_BYTES:
        rule = f"has more than {LARGEST_BYTES:,} bytes"
        raise _unreadable(path, "…", rule, "undo the last edit of the file")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = error.object[error.start : error.start + 10]
        rule = f"is not UTF-8 text (byte {error.start})"
        raise _unreadable(path, wrong, rule, "save the file as UTF-8 in your editor") from None


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Return the contents of `text`, which was read from `path`.

    Raises:
        ConfigurationError: naming the line, if it is not TOML or nested too deeply.
    """
    try:
        if any(line.count(".") > MOST_DOTS for line in text.splitlines()):  # tomllib takes minutes for such a key
            raise RecursionError
        return tomllib.loads(text.removeprefix(_BYTE_ORDER_MARK))
    except RecursionError:
        rule = "is nested too deeply to be read"
        raise _unreadable(path, "…", rule, "write its tables and lists flat") from None
    except ValueError as error:
        raise _not_toml(text, path, str(error)) from None


def to_toml(value: bool | int | float | str | Sequence[Any] | Mapping[str, Any]) -> str:
    """Return `value` as TOML on one line: numbers without an exponent, unprintable characters escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = format(decimal.Decimal(repr(value)), "f")
        return text if "." in text or not text.strip("-").isdigit() else f"{text}.0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_spell_key(str(key))} = {to_toml(entry)}" for key, entry in value.items()) + " }"
    return "[" + ", ".join(map(to_toml, value)) + "]"


def edit_toml(
    text: str, path: Path, changes: Mapping[tuple[str, ...], Any] | Mapping[tuple[str, str], Any]
) -> str | None:
    """Return `text`, read from `path`, with values set, such as ``{("metadata", "reward"): "score"}``.

    Comments, order, line ends and all other values stay. Missing tables and names are added. None is returned if every
    value was there already.

    Raises:
        ConfigurationError: if `text` is not TOML.
        RuntimeError: if the text cannot be edited without changing other values.
    """
    import tomlkit

    wanted = parse_toml(text, path)
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    document = tomlkit.parse(text.removeprefix(_BYTE_ORDER_MARK))
    changed = False
    for (*tables, name), value in changes.items():
        plain = list(value) if isinstance(value, tuple) else value
        table = wanted
        for key in tables:
            table = table.setdefault(key, {})
        if not _is_same(table.get(name), plain):
            table[name] = plain
            _set_leaf(document, tables, name, plain)
            changed = True
    if not changed:
        return None
    edited = mark + _with_line_ends(tomlkit.dumps(document), text)
    if parse_toml(edited, path) != wanted:
        raise RuntimeError(f"{path} cannot be edited without changing other values in it; nothing was written")
    return edited


def _escaped(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    code = ord(character)
    if character.isprintable() or character == _JOINER or 0xD800 <= code <= 0xDFFF:  # TOML has no escape for the last
        return character
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _spell_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else to_toml(key)


def _unreadable(path: Path, value: object, rule: str, remedy: str) -> ConfigurationError:
    problem = Problem(field=path.name, value=value, rule=rule, remedy=remedy)
    return ConfigurationError([problem], printable(str(path)))


def _not_toml(text: str, path: Path, message: str) -> ConfigurationError:
    lines = text.splitlines()
    found = re.search(r"line (\d+)", message)
    number = int(found[1]) if found else len(lines)
    problem = Problem(
        field=f"{path.name}, line {number}",
        value=lines[number - 1].strip() if 0 < number <= len(lines) else "",
        rule=f"is not TOML: {printable(message)}",
        remedy='name = "text", name = 3, name = true or name = ["a", "b"] below a [heading]',
    )
    return ConfigurationError([problem], printable(f"{path}, line {number}"))


def _set_leaf(document: Any, tables: Sequence[str], name: str, value: Any) -> None:
    import tomlkit
    from tomlkit.items import Array

    content = document
    for depth, table in enumerate(tables, start=1):
        if table not in content:
            content[table] = tomlkit.table(is_super_table=depth < len(tables))
        content = content[table]
    old = content.get(name)
    if isinstance(old, Array) and isinstance(value, list) and value[: len(old)] == old.unwrap():
        # An array that grows at its end keeps its layout and its comments.
        for entry in value[len(old) :]:
            old.append(tomlkit.value(to_toml(entry)))
        return
    content[name] = tomlkit.value(to_toml(value))


def _is_same(old: object, new: object) -> bool:
    # An integer given for a float (gamma = 1) may stay as the user wrote it.
    return isinstance(old, bool) is isinstance(new, bool) and old == new


def _with_line_ends(text: str, model: str) -> str:
    """Return `text` with CRLF line ends if every line of `model` has them; added lines end in LF."""
    if model.count("\n") != model.count("\r\n") or "\r\n" not in model:
        return text
    return text.replace("\r\n", "\n").replace("\n", "\r\n")
