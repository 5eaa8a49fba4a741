"""``retro-gamer info``: the settings, progress and checkpoints of a run, as text or JSON."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retro_gamer.cli.commands.options import Debug, Json, RunDir
from retro_gamer.cli.display.numbers import count, file_size, number, without_nan
from retro_gamer.errors import printable
from retro_gamer.hyperparameters import SETTINGS
from retro_gamer.toml import to_toml

if TYPE_CHECKING:
    from retro_gamer.run.config import RunConfig
    from retro_gamer.run.directory import CheckpointFile
    from retro_gamer.run.log import EpisodeLine

NOT_STARTED, UNFINISHED, FINISHED = "not started", "unfinished", "finished"

Episodes = Annotated[int, typer.Option("--episodes", metavar="N", min=0, help="Number of last episodes to show.")]

Verify = Annotated[
    bool, typer.Option("--verify", help="Read every file of the run and print which are whole; exit 1 if one is not.")
]


def make_report(run_dir: Path, n_episodes: int) -> dict[str, Any]:
    """Return the facts of a run in plain JSON types, with its last `n_episodes` episodes.

    A number that does not exist yet, or is not finite, is None. `changed` names the hyperparameters that differ from
    their default. `training.status` is "not started", "unfinished" (running or stopped) or "finished".

    Raises:
        RunNotFoundError, ConfigurationError
    """
    from retro_gamer.run.config import load_config
    from retro_gamer.run.directory import RunDirectory
    from retro_gamer.run.log import TrainingLog

    run = RunDirectory.open(run_dir)
    config = load_config(run_dir)
    episodes = TrainingLog(run.log_path).read_episodes()
    checkpoints = run.checkpoints()
    hyperparameters = {declared.name: value for declared, value in config.hyperparameters.items()}
    return {
        "run": str(run_dir),
        "created": config.created,
        "version": config.version,
        "game": {"name": config.game, **(dataclasses.asdict(config.source) if config.source else {})},
        "metadata": config.metadata.to_mapping(),
        "hyperparameters": hyperparameters,
        "changed": [name for name, value in hyperparameters.items() if value != SETTINGS[name].default],
        "training": _progress(config, episodes, checkpoints),
        "episodes": [without_nan(dataclasses.asdict(line)) for line in episodes[max(0, len(episodes) - n_episodes) :]],
        "checkpoints": [
            {
                "name": file.name,
                "file": file.path.name,
                "episode": file.episode,
                "size_bytes": file.size_bytes,
                "modified": file.modified.isoformat(timespec="seconds"),
            }
            for file in checkpoints
        ],
    }


def _progress(config: RunConfig, episodes: list[EpisodeLine], checkpoints: list[CheckpointFile]) -> dict[str, Any]:
    from retro_gamer.run.directory import FINAL

    rewards = [line.total_reward for line in episodes]
    recent = rewards[-100:]
    status = UNFINISHED if episodes or checkpoints else NOT_STARTED
    if any(file.name == FINAL for file in checkpoints):
        status = FINISHED
    return without_nan(
        {
            "status": status,
            "episodes": episodes[-1].episode if episodes else 0,
            "training_episodes": config.hyperparameters.training_episodes,
            "turns": sum(line.steps for line in episodes),
            "mean_reward_recent": sum(recent) / len(recent) if recent else None,
            "recent_episodes": len(recent),
            "best_reward": max(rewards, default=None),
            "epsilon": episodes[-1].epsilon if episodes else None,
        }
    )


def info(
    run_dir: RunDir, as_json: Json = False, episodes: Episodes = 10, verify: Verify = False, debug: Debug = False
) -> None:
    """Show the settings and the progress of a run.

    Prints the game, hyperparameters, progress, last episodes and checkpoints. With --verify it reads every file of the
    run instead and prints which are whole.
    """
    if verify:
        _verify(run_dir, as_json)
        return
    report = make_report(run_dir, episodes)
    text = json.dumps(report, indent=2, allow_nan=False) if as_json else "\n".join(format_report(report))
    typer.echo(printable(text))


def _verify(run_dir: Path, as_json: bool) -> None:
    """Print a verdict for each file; exit with status 1 if one is damaged."""
    from retro_gamer.cli.commands.verification import verify_run
    from retro_gamer.run.directory import RunDirectory

    verdicts = list(verify_run(RunDirectory.open(run_dir)))
    damaged = [each.file for each in verdicts if each.problem is not None]
    if as_json:
        report = {"run": str(run_dir), "files": [dataclasses.asdict(each) for each in verdicts], "damaged": damaged}
        typer.echo(printable(json.dumps(report, indent=2)))
    else:
        for each in verdicts:
            state = f"DAMAGED: {each.problem}" if each.problem is not None else "whole"
            typer.echo(printable(f"{each.file}: {state}{f' ({each.remark})' if each.remark else ''}"))
        typer.echo(f"{len(damaged)} of {count(len(verdicts), 'file')} damaged.")
    if damaged:
        raise typer.Exit(1)


def format_report(report: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a report."""
    yield f"Run {report['run']}, created {_date(report['created'])} by retro-gamer {report['version']}"
    yield from ("", "Game")
    yield f"  {report['game']['name']}"
    yield from (f"  {name} = {_toml(value)}" for name, value in report["metadata"].items())
    if "character_set" not in report["metadata"]:
        yield "  character_set will be discovered when training starts"
    yield from ("", "Hyperparameters (* differs from the default)")
    yield from _hyperparameter_lines(report)
    yield from ("", "Training")
    yield from _training_lines(report["training"])
    yield from ("", "Last episodes")
    yield from (f"  {_episode_line(episode)}" for episode in report["episodes"])
    if not report["episodes"]:
        yield "  none"
    yield from ("", "Checkpoints")
    yield from _checkpoint_lines(report["checkpoints"])
    yield ""
    yield from _next_steps(report)


def _hyperparameter_lines(report: dict[str, Any]) -> Iterator[str]:
    group = ""
    for name, value in report["hyperparameters"].items():
        declared = SETTINGS[name]
        if declared.group != group:
            group = declared.group
            yield f"  {group}"
        if name in report["changed"]:
            yield f"  * {name:<26} {to_toml(value)} (default {to_toml(declared.default)})"
        else:
            yield f"    {name:<26} {to_toml(value)}"


def _training_lines(training: dict[str, Any]) -> Iterator[str]:
    is_short = training["status"] == FINISHED and training["episodes"] < training["training_episodes"]
    status = "Stopped at the time limit" if is_short else training["status"].capitalize()
    yield f"  {status}: {training['episodes']:,} of {training['training_episodes']:,} episodes"
    if training["episodes"]:
        yield f"  {training['turns']:,} turns played, epsilon {number(training['epsilon'])}"
        recent = count(training["recent_episodes"], "episode")
        yield f"  Mean reward of the last {recent}: {number(training['mean_reward_recent'])}"
        yield f"  Best reward of an episode: {number(training['best_reward'])}"


def _episode_line(episode: dict[str, Any]) -> str:
    from retro_gamer.run.log import EpisodeLine, format_episode

    values: dict[str, Any] = {name: math.nan if value is None else value for name, value in episode.items()}
    return format_episode(EpisodeLine(**values))


def _checkpoint_lines(checkpoints: list[dict[str, Any]]) -> Iterator[str]:
    if not checkpoints:
        yield "  none"
    width = max((len(file["file"]) for file in checkpoints), default=0)
    for file in checkpoints:
        yield f"  {file['file']:<{width}}  {_date(file['modified'])}  {file_size(file['size_bytes']):>9}"


def _next_steps(report: dict[str, Any]) -> Iterator[str]:
    place = shlex.quote(report["run"])
    if report["checkpoints"]:
        yield f"Watch:    retro-gamer play {place}"
    if report["training"]["status"] == NOT_STARTED:
        yield f"Train:    retro-gamer train {place}"
    elif report["training"]["episodes"] < report["training"]["training_episodes"]:
        resume = " --resume latest" if report["checkpoints"] else ""
        yield f"Continue: retro-gamer train {place}{resume}"


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else to_toml(value)


def _date(text: str) -> str:
    try:
        return f"{datetime.datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
    except ValueError:
        return text or "(date unknown)"
