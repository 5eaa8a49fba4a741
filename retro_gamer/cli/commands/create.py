"""``retro-gamer create``: create a run directory with its config.toml."""

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
        "--game", metavar="GAME", show_default=False,
        help="The game: a module such as retro.examples.snake, a .py file, or a folder.",
    ),
]  # fmt: skip
Output = Annotated[
    Path, typer.Option("--output", metavar="DIR", show_default=False, help="Directory to create for this run.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace an existing run: its settings, checkpoints and log are moved aside.")
]


@with_setting_options
def create(game: Game, output: Output, settings: dict[str, Any], force: Force = False, debug: Debug = False) -> None:
    """Create a training run with its config.toml.

    Reads the game's description from the [tool.retro-gamer] section of its pyproject.toml, and checks it.
    """
    from retro_gamer.driver.creation import create_run

    try:
        created = create_run(game, output, settings, force=force)
    except ConfigurationError as error:
        raise ConfigurationError([as_option(p) for p in error.problems], error.where) from error
    typer.echo(printable(describe_run(created)))


def as_option(problem: Problem) -> Problem:
    """Return the problem with its hyperparameter named as the option of `create`; other problems are unchanged."""
    if problem.field not in SETTINGS:
        return problem
    name, _, value = problem.remedy.partition(" = ")
    remedy = f"{SETTINGS[name].option} {value}" if name in SETTINGS else problem.remedy
    return dataclasses.replace(problem, field=SETTINGS[problem.field].option, remedy=remedy)


def describe_run(created: CreatedRun) -> str:
    """Return the facts of the new run and the command that may follow."""
    place = shlex.quote(str(created.directory.path))
    lines = [f"Created {place}", *(f"  {name:<12} {text}" for name, text in _facts(created))]
    if created.builtin:
        lines += ["", f"{created.config.game} has no description; the built-in one of retro-gamer is used."]
    if created.remark is not None:
        lines += ["", created.remark]
    lines += ["", f"To change a setting, edit {shlex.quote(str(created.directory.config_path))}. Then train:", ""]
    return "\n".join([*lines, f"    retro-gamer train {place}"])


def _describe_game(config: RunConfig) -> str:
    """Return the game as the user named it, followed by its file if that is a folder."""
    path = config.source.path if config.source is not None else None
    if path is None or Path(path).name == Path(config.game).name:
        return config.game
    return f"{config.game} ({Path(path).name})"


def _facts(created: CreatedRun) -> list[tuple[str, str]]:
    from retro_gamer.games.loading.keys import format_keys
    from retro_gamer.games.rewards import describe_reward

    config, metadata = created.config, created.config.metadata
    width, height = metadata.board_size or (0, 0)
    discovered = f"discovered in {config.hyperparameters.exploration_turns:,} random turns when training starts"
    facts = [
        ("game", _describe_game(config)),
        ("description", created.origin),
        ("board", f"{width} x {height} cells, read by {'a CNN' if metadata.spatial else 'an MLP'}"),
        ("actions", f"{format_keys(metadata.actions)}, or none"),
        ("reward", describe_reward(metadata.reward)),
        ("characters", " ".join(metadata.character_set) if metadata.character_set else discovered),
    ]
    if metadata.observe_state:
        facts.append(("state", ", ".join(metadata.observe_state)))
    facts.append(("episodes", f"{config.hyperparameters.training_episodes:,}"))
    changed = [
        f"{declared.name} = {to_toml(value)} (default {to_toml(declared.default)})"
        for declared, value in config.hyperparameters.items()
        if value != declared.default
    ]
    return facts + [("changed" if not i else "", text) for i, text in enumerate(changed)]
