"""Changing single values of a config.toml that its user has edited."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Array

from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.toml import BOM, parse_toml, read_text, toml_text
from retro_gamer.runs.atomic import write_atomic


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
