"""Creating a run: find the game and its description, build it once to check them, write config.toml."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from retro.game import Game

from retro_gamer import hyperparameters as settings
from retro_gamer.errors import ConfigurationError, Problem, RetroGamerError
from retro_gamer.games.description import FoundDescription, GameMetadata, find_description
from retro_gamer.games.loading.find import FACTORY_NAME, GameSource, describe_source, find_source
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.loading.pyproject import folders_above
from retro_gamer.games.random_play import open_game
from retro_gamer.games.validation import FIELDS, find_problems
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.run.config import RunConfig, write_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.files import RunLock

SETTINGS_PLACE = "the hyperparameters"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreatedRun:
    """A run that was just created.

    origin: where the description was found
    builtin: whether the description is a built-in one, because the game has none
    remark: what the user should know of a description that several games share
    """

    directory: RunDirectory
    config: RunConfig
    origin: str
    builtin: bool
    remark: str | None


def create_run(game: str, output: str | Path, values: Mapping[str, Any], *, force: bool = False) -> CreatedRun:
    """Create a run in `output` for the game that `game` names, and return it.

    The game is built once, to read its board size and to check the description. `values` are the hyperparameters that
    differ from the defaults. `force` moves an existing run aside (see `RunDirectory.create`).

    Raises:
        ConfigurationError: with all problems of the description and of `values` together.
        GameNotFoundError, DescriptionNotFoundError, GameFailedError, RunExistsError
        OSError: if the directory cannot be written.
    """
    source = find_source(game)
    found = find_description(source)
    source = describe_source(source, found.values)
    wrong_settings = settings.find_problems(values)
    wrong_fields = find_problems(found.values)
    board_size = None
    try:
        opened = open_game(load_factory(source), _correct_part(found.values, wrong_fields), source)
        board_size = opened.metadata.board_size
        known = {problem.field for problem in wrong_fields}
        wrong_fields += [problem for problem in opened.problems if problem.field not in known]
    except RetroGamerError:
        # A problem that is already known may be the reason.
        if not wrong_fields and not wrong_settings:
            raise
    others = f" (it also describes {', '.join(found.shared_with)}; check --write gives a game its own section)"
    _refuse(wrong_fields, wrong_settings, found.origin + (others if found.shared_with else ""))
    # `source` holds how the game is started, so the description does not repeat it.
    metadata = dataclasses.replace(
        GameMetadata.from_mapping(found.values, found.origin), board_size=board_size, factory=None, answers=None
    )
    return _write(source, metadata, values, output, found, force)


def create_run_for(
    create_game: Callable[[], Game], metadata: GameMetadata, output: str | Path, values: Mapping[str, Any]
) -> CreatedRun:
    """Create a run for a game given as a function, and return it.

    config.toml names the function's module if other processes can import it (see `source_of_factory`).

    Raises:
        ConfigurationError, GameFailedError, RunExistsError
    """
    source = source_of_factory(create_game)
    found = FoundDescription(values=metadata.to_mapping(), origin="the metadata given in Python", builtin=False)
    opened = open_game(create_game, metadata, source)
    _refuse(opened.problems, settings.find_problems(values), found.origin)
    if source is not None:
        source = dataclasses.replace(source, answers=metadata.answers or ())
    metadata = dataclasses.replace(opened.metadata, factory=None, answers=None)
    return _write(source, metadata, values, output, found)


def source_of_factory(create_game: Callable[[], Game]) -> GameSource | None:
    """Return where another process can import the function `create_game`, None if it cannot.

    Lambdas, nested functions and functions typed in a notebook cannot be imported.
    """
    name = getattr(create_game, "__qualname__", "")
    module = sys.modules.get(getattr(create_game, "__module__", None) or "")
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    file = getattr(module, "__file__", None)
    if module is None or found is not create_game or not file:
        return None
    installed = not _is_own(Path(file)) and module.__name__ != "__main__"
    with contextlib.suppress(RetroGamerError):  # config.toml could not name its place
        source = find_source(module.__name__ if installed else file)
        factory = None if name == FACTORY_NAME else f"{source.module}:{name}"
        return dataclasses.replace(source, factory=factory)
    return None


def _is_own(file: Path) -> bool:
    """Return whether a file is outside every folder of installed packages, so that only its path finds it."""
    last = list(folders_above(file.parent))[-1:]
    return bool(last) and last[0].parent == last[0]


def _correct_part(values: Mapping[str, Any], problems: list[Problem]) -> GameMetadata:
    """Return a description of the fields without problems, to check them against the game."""
    wrong = {problem.field for problem in problems}
    right = {name: value for name, value in values.items() if name in FIELDS and name not in wrong}
    return GameMetadata.from_mapping({"actions": ["KEY_RIGHT"], "reward": "(reward)", **right}, "the game description")


def _refuse(wrong_fields: list[Problem], wrong_settings: list[Problem], origin: str) -> None:
    places = [place for place, problems in ((origin, wrong_fields), (SETTINGS_PLACE, wrong_settings)) if problems]
    if places:
        raise ConfigurationError([*wrong_fields, *wrong_settings], " and ".join(places))


def _write(
    source: GameSource | None,
    metadata: GameMetadata,
    values: Mapping[str, Any],
    output: str | Path,
    found: FoundDescription,
    force: bool = False,
) -> CreatedRun:
    config = RunConfig(source=source, metadata=metadata, hyperparameters=Hyperparameters.from_mapping(values))
    path = Path(output)
    # A run that is being trained must not be moved.
    with RunLock(path) if force and path.is_dir() else contextlib.nullcontext():
        directory = RunDirectory.create(path, force=force)
        write_config(path, config, origin=found.origin)
    return CreatedRun(
        directory=directory, config=config, origin=found.origin, builtin=found.builtin, remark=found.remark
    )
