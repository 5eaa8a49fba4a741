"""``retro-gamer create``: make a run directory with its config.toml."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retro_gamer.cli.commands.options import Debug, with_setting_options
from retro_gamer.errors import ConfigurationError, Problem, printable
from retro_gamer.hyperparameters import SETTINGS
from retro_gamer.toml import to_toml

if TYPE_CHECKING:
    from retro_gamer.driver.creation import CreatedRun
    from retro_gamer.run.config import RunConfig

Game = Annotated[
    str,
    typer.Option(
        "--game",
        metavar="MODULE",
        show_default=False,
        help="The game: a module such as retro.examples.snake, a .py file, or a folder.",
    ),
]
Output = Annotated[
    Path, typer.Option("--output", metavar="DIR", show_default=False, help="Directory to make for this run.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace a run that is there: its settings, checkpoints and log are kept aside.")
]


@with_setting_options
def create(game: Game, output: Output, settings: dict[str, Any], force: Force = False, debug: Debug = False) -> None:
    """Make a training run with its config.toml.

    The game's description is read from the [tool.retro-gamer] section of its pyproject.toml, and checked.
    """
    from retro_gamer.driver.creation import create_run

    try:
        created = create_run(game, output, settings, force=force)
    except ConfigurationError as error:
        raise ConfigurationError([as_typed(p) for p in error.problems], error.where) from error
    typer.echo(printable(character_statistics(created)))


def as_typed(problem: Problem) -> Problem:
    """Return a problem with a hyperparameter spelled as the option that was typed; others stay as they are."""
    if problem.field not in SETTINGS:
        return problem
    name, _, value = problem.remedy.partition(" = ")
    remedy = f"{SETTINGS[name].option} {value}" if name in SETTINGS else problem.remedy
    return dataclasses.replace(problem, field=SETTINGS[problem.field].option, remedy=remedy)


def character_statistics(created: CreatedRun) -> str:
    """Return what the new run will train, and what to type next."""
    place = shlex.quote(str(created.directory.path))
    lines = [f"Created {place}", *(f"  {name:<12} {text}" for name, text in _facts(created))]
    if created.builtin:
        lines += ["", f"{created.config.game} ships no description, so a built-in one is used."]
    lines += ["", f"Change anything in {shlex.quote(str(created.directory.config_path))}. Then train:", ""]
    return "\n".join([*lines, f"    retro-gamer train {place}"])


def _describe_game(config: RunConfig) -> str:
    """Return the game as it was named, with its file where a folder was."""
    path = config.source.path if config.source is not None else None
    if path is None or Path(path).name == Path(config.game).name:
        return config.game
    return f"{config.game} ({Path(path).name})"


def _facts(created: CreatedRun) -> list[tuple[str, str]]:
    from retro_gamer.games.loading.keys import say_keys
    from retro_gamer.games.rewards import describe_reward

    config, metadata = created.config, created.config.metadata
    width, height = metadata.board_size or (0, 0)
    by_turns = f"found by {config.hyperparameters.exploration_turns} random turns when training starts"
    facts = [
        ("game", _describe_game(config)),
        ("description", created.origin),
        ("board", f"{width} x {height} cells, seen as {'a scene (CNN)' if metadata.spatial else 'a list (MLP)'}"),
        ("actions", f"{say_keys(metadata.actions)}, or none"),
        ("reward", describe_reward(metadata.reward)),
        ("characters", " ".join(metadata.character_set) if metadata.character_set else by_turns),
    ]
    if metadata.observe_state:
        facts.append(("also seen", ", ".join(metadata.observe_state)))
    facts.append(("episodes", str(config.hyperparameters.training_episodes)))
    changed = [
        f"{declared.name} = {to_toml(value)} (default {to_toml(declared.default)})"
        for declared, value in config.hyperparameters.items()
        if value != declared.default
    ]
    return facts + [("changed" if not i else "", text) for i, text in enumerate(changed)]
