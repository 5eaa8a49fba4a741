"""The text of a new config.toml: every setting with a comment, made for reading and editing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retro_gamer.errors import printable
from retro_gamer.hyperparameters import Setting
from retro_gamer.run.toml import toml_text
from retro_gamer.runs.places import name_place

if TYPE_CHECKING:
    from retro_gamer.run.config import RunConfig

FORMAT_VERSION = 1
"""Raised when a config.toml written from then on could be misread by an older version."""

_METADATA_COMMENTS = {
    "actions": "Keys the agent may press, one a turn. It may always do nothing instead.",
    "reward": 'Key of the game\'s state (rewarded is its change in a turn), "@turns" or "@end" (see the reference).',
    "end": 'What the end of a game is worth, with reward = "@end": the first line that holds counts.',
    "observe": 'What the agent sees: the whole "board", or the "view", the window that a player sees of it.',
    "answers": "What is answered to what the game asks before it begins.",
    "spatial": "Whether the board is seen as a scene (a CNN) or as a flat list of cells (an MLP).",
    "observe_state": "Keys of the game's state that the agent sees besides the board; their values are numbers.",
    "factory": 'What builds the game, "module:name", where that is not create_game.',
    "player": "Name or class of the agent that the keys move, around which the CNN looks.",
    "board_size": "Width and height in cells of what the agent sees, as read from the game.",
    "character_set": "Characters that may appear on the board. Others are treated as empty space.",
}
_UNKNOWN_CHARACTERS = "If character_set is not given, training discovers it by random turns and writes it here."


def make_config_text(config: RunConfig, run_dir: Path, origin: str | None = None) -> str:
    """Return the whole text of config.toml for a run in `run_dir`."""
    sections = (
        _run_lines(config),
        _game_lines(config, run_dir),
        _metadata_lines(config, origin),
        _hyperparameter_lines(config),
    )
    return "\n".join(line for section in sections for line in section)


def _run_lines(config: RunConfig) -> Iterator[str]:
    yield "# A training run of retro-gamer. Edit the values below, then start: retro-gamer train DIR"
    yield ""
    yield "[run]"
    yield f"format_version = {FORMAT_VERSION}"
    yield f"created = {toml_text(config.created)}"
    yield f"version = {toml_text(config.version)}"
    yield ""


def _game_lines(config: RunConfig, run_dir: Path) -> Iterator[str]:
    yield "[game]"
    source = config.source
    if source is None:
        yield "# The game was given in Python as a function that cannot be imported. To play this run, move that"
        yield '# function into a module and name it here: module = "my_game"'
        yield ""
        return
    yield f"module = {toml_text(source.module)}"
    if source.path is not None or source.search_path is not None:
        yield "# Relative to this directory, so that game and run can be moved together:"
    for name, place in (("path", source.path), ("search_path", source.search_path)):
        if place is not None:
            yield f"{name} = {toml_text(name_place(place, run_dir))}"
    if source.factory is not None:
        yield f"factory = {toml_text(source.factory)}"
    if source.answers:
        yield "# What is answered, a line each, to what the game asks before it begins:"
        yield f"answers = {toml_text(source.answers)}"
    yield ""


def _metadata_lines(config: RunConfig, origin: str | None) -> Iterator[str]:
    yield "[metadata]"
    if origin:
        yield f"# From {printable(origin).replace(chr(10), ' ')}"
    values: dict[str, Any] = config.metadata.to_mapping()
    # Last, because that is where training adds it when it is not given.
    characters = values.pop("character_set", None)
    for name, value in values.items():
        yield f"# {_METADATA_COMMENTS[name]}"
        yield f"{name} = {toml_text(value)}"
    if characters is None:
        yield f"# {_UNKNOWN_CHARACTERS}"
    else:
        yield f"# {_METADATA_COMMENTS['character_set']}"
        yield f"character_set = {toml_text(characters)}"
    yield ""


def _hyperparameter_lines(config: RunConfig) -> Iterator[str]:
    yield "[hyperparameters]"
    group = ""
    for declared, value in config.hyperparameters.items():
        if declared.group != group:
            group = declared.group
            yield f"\n# ---- {group} ----"
        yield f"\n# {declared.help}"
        yield f"#   {_describe(declared)}"
        yield f"{declared.name} = {toml_text(value)}"
    yield ""


def _describe(declared: Setting) -> str:
    details = [declared.unit, declared.range, f"default {toml_text(declared.default)}"]
    return "; ".join(detail for detail in details if detail and detail != "any")
