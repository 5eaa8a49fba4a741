"""config.toml: reading, checking and writing the configuration of a run."""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from retro_gamer import hyperparameters as settings
from retro_gamer.errors import (
    ConfigurationError,
    GameNotFoundError,
    Problem,
    RunNotFoundError,
    UsageError,
    printable,
    quoted,
)
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.validation import find_field_problems
from retro_gamer.games.validation import find_problems as find_metadata_problems
from retro_gamer.hyperparameters import Hyperparameters, Setting
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.files import write_atomic
from retro_gamer.toml import edit_toml, parse_toml, read_text, to_toml
from retro_gamer.version import __version__


def to_relative_path(path: str, run_dir: Path) -> str:
    """Return `path` relative to `run_dir`, or absolute if they have only the root in common."""
    home = os.path.realpath(run_dir)
    path = os.path.abspath(path)
    if os.path.commonpath([home, path]) == os.path.abspath(os.sep):
        return path
    return os.path.relpath(path, home)


def to_absolute_path(name: str, run_dir: Path) -> str:
    """Return the absolute path of what `to_relative_path` returned, wherever `run_dir` is now."""
    return os.path.normpath(os.path.join(os.path.realpath(run_dir), name))


_LARGEST_TABLE = 200
_FIELDS = {
    "run": ("format_version", "created", "version"),
    "game": ("module", "path", "search_path", "factory", "answers", "scripts"),
    "metadata": None,
    "hyperparameters": None,
}
"""The tables of config.toml and their fields, unless declared elsewhere."""


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The configuration of a run.

    source: where the game is, None for a function that other processes cannot import
    created: the time of creation in ISO format
    version: the version of retro-gamer that created the run
    """

    source: GameSource | None
    metadata: GameMetadata
    hyperparameters: Hyperparameters
    created: str = dataclasses.field(default_factory=_now)
    version: str = __version__

    @property
    def game(self) -> str:
        """The name of the game in messages."""
        return self.source.label if self.source else "a function given in Python"

    def changed(self, hyperparameters: Mapping[str, Any]) -> RunConfig:
        """Return this configuration with other values for some hyperparameters.

        Raises:
            ConfigurationError: naming every value that is wrong.
        """
        return dataclasses.replace(self, hyperparameters=self.hyperparameters.changed(hyperparameters))

    def require_source(self) -> GameSource:
        """Return where the game is.

        Raises:
            GameNotFoundError: if the game is a function, or its file or folder no longer exists.
        """
        if self.source is None:
            raise GameNotFoundError(
                "the game of this run is a Python function that cannot be imported. Move it into a module and name "
                'that in config.toml under [game]: module = "my_game" (and factory = "my_game:create_game")'
            )
        for place in (self.source.path, self.source.search_path):
            if place is not None and not os.path.exists(place):
                raise GameNotFoundError(
                    printable(
                        f"the game of this run no longer exists at {place}.\n"
                        "Move it back, or correct path and search_path in config.toml under [game] (absolute, or "
                        "relative to the run directory)."
                    )
                )
        return self.source


def write_config(run_dir: str | Path, config: RunConfig, *, origin: str | None = None) -> Path:
    """Write the config.toml of a new run and return its path. `origin` is where the description was found.

    Raises:
        UsageError: if the path of the game is not Unicode.
        OSError: if it cannot be written. An older file is unchanged then.
    """
    path = RunDirectory(run_dir).config_path
    text = make_config_text(config, path.parent, origin)
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(
            "the path of the game is not valid Unicode, so config.toml cannot hold it; rename the file or folder"
        ) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)
    return path


def load_config(run_dir: str | Path) -> RunConfig:
    """Return the configuration of the run in `run_dir`. The game is not searched for.

    Raises:
        RunNotFoundError: if there is no run, or another program wrote it.
        ConfigurationError: with all problems of config.toml together.
    """
    run = RunDirectory.open(run_dir)
    values = parse_toml(read_text(run.config_path), run.config_path)
    _check_format(values, run)
    where = printable(str(run.config_path))
    problems = _find_config_problems(values)
    if problems:
        raise ConfigurationError(problems, where)
    return RunConfig(
        source=_read_source(values.get("game", {}), run.path),
        metadata=GameMetadata.from_mapping(values["metadata"], where),
        hyperparameters=Hyperparameters.from_mapping(values.get("hyperparameters", {}), where),
        created=str(values["run"].get("created", "")),
        version=str(values["run"].get("version", "")),
    )


def update_config(run_dir: str | Path, changes: Mapping[tuple[str, str], Any]) -> bool:
    """Set values of config.toml, such as ``{("metadata", "character_set"): ["@"]}``; return whether any was new.

    All other text stays (see `edit_toml`). If config.toml is a link, the file that it leads to is edited.

    Raises:
        ConfigurationError: if the file is not TOML.
        OSError: if it cannot be written, or is read-only. The old file is unchanged then.
    """
    path = Path(os.path.realpath(RunDirectory.open(run_dir).config_path))
    edited = edit_toml(read_text(path), path, dict(changes.items()))
    if edited is not None:
        write_atomic(path, edited.encode("utf-8"))
    return edited is not None


def _find_config_problems(values: Mapping[str, Any]) -> list[Problem]:
    """Return every problem in the tables of a config.toml, safe to print on a terminal."""
    unknown = [name for name in values if name not in _FIELDS]
    problems = [_unknown("", name, values[name], tuple(_FIELDS)) for name in unknown[:_LARGEST_TABLE]]
    for table in _FIELDS:
        problems += _find_table_problems(table, values.get(table, {}))
    return [
        dataclasses.replace(p, field=printable(p.field), rule=printable(p.rule), remedy=printable(p.remedy))
        for p in problems
    ]


def _find_table_problems(table: str, content: object) -> list[Problem]:
    if not isinstance(content, dict):
        return [Problem(field=table, value=content, rule="must be a table, not one value", remedy=f"[{table}]")]
    if len(content) > _LARGEST_TABLE:
        rule = "has far more entries than there are settings"
        return [Problem(field=table, value=len(content), rule=rule, remedy="undo the last edit of the file")]
    if table == "metadata":
        return find_metadata_problems(content)
    if table == "hyperparameters":
        return settings.find_problems(content)
    known = _FIELDS[table] or ()
    problems = [_unknown(table, name, value, known) for name, value in content.items() if name not in known]
    return problems + (_find_game_table_problems(content) if table == "game" else [])


def _find_game_table_problems(game: Mapping[str, Any]) -> list[Problem]:
    if not game:
        return []
    problems = [
        Problem(field=f"game.{name}", value=game[name], rule="must be a string", remedy=f'{name} = "…"')
        for name in ("module", "path", "search_path", "factory")
        if not isinstance(game.get(name, "text"), str) or "\0" in game.get(name, "text")
    ]
    if "answers" in game:
        problems += find_field_problems("answers", game["answers"])
    scripts = game.get("scripts", [])
    if not isinstance(scripts, list) or any(find_field_problems("factory", script) for script in scripts):
        rule, remedy = 'must be a list of functions, each "module:name"', "remove the line"
        problems.append(Problem(field="game.scripts", value=scripts, rule=rule, remedy=remedy))
    if not game.get("module"):
        rule = "is missing: the module that builds the game"
        problems.append(Problem(field="game.module", value=None, rule=rule, remedy='module = "retro.examples.snake"'))
    return problems


def _unknown(table: str, name: str, value: object, known: tuple[str, ...]) -> Problem:
    near = difflib.get_close_matches(name, known, n=1)
    what = f"a field of [{table}]" if table else "a table of config.toml"
    return Problem(
        field=f"{table}.{name[:60]}" if table else name[:60],
        value=value,
        rule=f"is not {what}" + (f"; did you mean {near[0]}?" if near else ""),
        remedy=f"rename it to {near[0]}" if near else f"remove it; the names are {', '.join(known)}",
    )


def _check_format(values: Mapping[str, Any], run: RunDirectory) -> None:
    about = values.get("run")
    version = about.get("format_version") if isinstance(about, dict) else None
    place = printable(str(run.config_path))
    if version is None:
        raise RunNotFoundError(
            f"{place} was not written by this program: it has no format_version under [run].\n"
            "It may be a run of another package, such as the one named retro-gamer on PyPI, whose runs this program "
            "cannot read.\nCreate a new run with: retro-gamer create --game GAME --output DIR"
        )
    if type(version) is not int or version != FORMAT_VERSION:
        raise RunNotFoundError(
            f"{place} has format_version {quoted(version)}, and this version of retro-gamer ({__version__}) reads "
            f"{FORMAT_VERSION}. Use the version that created the run, or create a new run."
        )


def _read_source(game: Mapping[str, Any], run_dir: Path) -> GameSource | None:
    if not game:
        return None
    places = {name: to_absolute_path(game[name], run_dir) if name in game else None for name in ("path", "search_path")}
    return GameSource(
        module=game["module"],
        path=places["path"],
        search_path=places["search_path"],
        factory=game.get("factory"),
        answers=tuple(game.get("answers", ())),
        scripts=tuple(game.get("scripts", ())),
    )


FORMAT_VERSION = 1
"""Increase this when an older version could misread a new config.toml."""

_METADATA_COMMENTS = {
    "actions": "Keys the agent may press, one per turn. It may also press none.",
    "reward": 'Key of the game\'s state whose change in a turn is the reward, "@turns" or "@end" (see the reference).',
    "end": 'The reward at the end of a game, with reward = "@end": the first line whose condition holds counts.',
    "observe": 'What the agent sees: the whole "board", or only the "view", the window a human player sees.',
    "answers": "Answers to the questions that the game asks before it starts.",
    "spatial": "Whether the network sees the board as an image (a CNN) or as a flat list of cells (an MLP).",
    "observe_state": "Keys of the game's state that the agent also sees. Their values must be numbers.",
    "factory": 'The function that builds the game, "module:name", if it is not create_game.',
    "player": "Name or class of the agent that the keys move. The CNN is centred on it.",
    "board_size": "Width and height of what the agent sees, in cells, read from the game.",
    "character_set": "Characters that may appear on the board. Any other counts as an empty cell.",
}
_UNKNOWN_CHARACTERS = "character_set is missing: training finds it by random play and writes it here."


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
    yield "# A training run of retro-gamer. Edit the values below, then train it: retro-gamer train DIR"
    yield ""
    yield "[run]"
    yield f"format_version = {FORMAT_VERSION}"
    yield f"created = {to_toml(config.created)}"
    yield f"version = {to_toml(config.version)}"
    yield ""


def _game_lines(config: RunConfig, run_dir: Path) -> Iterator[str]:
    yield "[game]"
    source = config.source
    if source is None:
        yield "# The game is a Python function that cannot be imported. To watch the agent play, move the function"
        yield '# into a module and name that module here: module = "my_game"'
        yield ""
        return
    yield f"module = {to_toml(source.module)}"
    if source.path is not None or source.search_path is not None:
        yield "# Relative to this directory, so that the game and the run can be moved together:"
    for name, place in (("path", source.path), ("search_path", source.search_path)):
        if place is not None:
            yield f"{name} = {to_toml(to_relative_path(place, run_dir))}"
    if source.factory is not None:
        yield f"factory = {to_toml(source.factory)}"
    if source.scripts:
        yield f"scripts = {to_toml(source.scripts)}"
    if source.answers:
        yield "# Answers to the questions that the game asks before it starts, one line each:"
        yield f"answers = {to_toml(source.answers)}"
    yield ""


def _metadata_lines(config: RunConfig, origin: str | None) -> Iterator[str]:
    yield "[metadata]"
    if origin:
        yield f"# From {printable(origin).replace(chr(10), ' ')}"
    values: dict[str, Any] = config.metadata.to_mapping()
    # Last, because training adds it there if it is missing.
    characters = values.pop("character_set", None)
    for name, value in values.items():
        yield f"# {_METADATA_COMMENTS[name]}"
        yield f"{name} = {to_toml(value)}"
    if characters is None:
        yield f"# {_UNKNOWN_CHARACTERS}"
    else:
        yield f"# {_METADATA_COMMENTS['character_set']}"
        yield f"character_set = {to_toml(characters)}"
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
        yield f"{declared.name} = {to_toml(value)}"
    yield ""


def _describe(declared: Setting) -> str:
    details = [declared.unit, declared.range, f"default {to_toml(declared.default)}"]
    return "; ".join(detail for detail in details if detail and detail != "any")
