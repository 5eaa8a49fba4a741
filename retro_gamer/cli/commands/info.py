"""``retro-gamer info``: what a run is, where it stands and what it has kept."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from retro_gamer.cli.commands.options import Debug, RunDir
from retro_gamer.errors import printable
from retro_gamer.hyperparameters import SETTINGS
from retro_gamer.run.config import RunConfig, load_config
from retro_gamer.run.directory import FINAL, CheckpointFile, RunDirectory
from retro_gamer.run.log import EpisodeLine, TrainingLog, format_episode
from retro_gamer.toml import to_toml

RECENT_EPISODES = 100
NOT_STARTED, UNFINISHED, FINISHED = "not started", "unfinished", "finished"


def make_report(run_dir: Path, n_episodes: int) -> dict[str, Any]:
    """Return what is known of a run in plain JSON types, with its last `n_episodes` episodes.

    A figure that does not exist yet, or is not finite, is None. `changed` names the hyperparameters off their
    default. `training.status` is "not started", "unfinished" (under way or stopped) or "finished".

    Raises:
        RunNotFoundError, ConfigurationError
    """
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
        "training": _standing(config, episodes, checkpoints),
        "episodes": [_finite(dataclasses.asdict(line)) for line in episodes[max(0, len(episodes) - n_episodes) :]],
        "checkpoints": [_checkpoint_fields(file) for file in checkpoints],
    }


def _standing(config: RunConfig, episodes: list[EpisodeLine], checkpoints: list[CheckpointFile]) -> dict[str, Any]:
    rewards = [line.total_reward for line in episodes]
    recent = rewards[-RECENT_EPISODES:]
    status = UNFINISHED if episodes or checkpoints else NOT_STARTED
    if any(file.name == FINAL for file in checkpoints):
        status = FINISHED
    return _finite(
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


def _checkpoint_fields(file: CheckpointFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "file": file.path.name,
        "episode": file.episode,
        "size_bytes": file.size_bytes,
        "modified": file.modified.isoformat(timespec="seconds"),
    }


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with None for every number that JSON cannot spell."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Episodes = Annotated[int, typer.Option("--episodes", metavar="N", min=0, help="How many of the last episodes to show.")]


def info(run_dir: RunDir, as_json: Json = False, episodes: Episodes = 10, debug: Debug = False) -> None:
    """Show a run and where it stands.

    Its game, hyperparameters, progress, last episodes and checkpoints.
    """
    from retro_gamer.cli.commands.info import make_report

    report = make_report(run_dir, episodes)
    text = json.dumps(report, indent=2, allow_nan=False) if as_json else "\n".join(format_report(report))
    typer.echo(printable(text))


def format_report(report: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a report for reading."""
    yield f"Run {report['run']}, created {_date(report['created'])} by retro-gamer {report['version']}"
    yield from _heading("Game")
    yield f"  {report['game']['name']}"
    yield from (f"  {name} = {_toml(value)}" for name, value in report["metadata"].items())
    if "character_set" not in report["metadata"]:
        yield "  character_set is discovered when training starts"
    yield from _heading("Hyperparameters (* marks those off their default)")
    yield from _hyperparameter_lines(report)
    yield from _heading("Training")
    yield from _training_lines(report["training"])
    yield from _heading("Last episodes")
    yield from (f"  {_episode_line(episode)}" for episode in report["episodes"])
    if not report["episodes"]:
        yield "  none"
    yield from _heading("Checkpoints")
    yield from _checkpoint_lines(report["checkpoints"])
    yield ""
    yield from _next_steps(report)


def _heading(text: str) -> tuple[str, str]:
    return "", text


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
    from retro_gamer.cli.commands.info import FINISHED

    is_short = training["status"] == FINISHED and training["episodes"] < training["training_episodes"]
    status = f"{FINISHED}, its time was over" if is_short else training["status"]
    yield f"  {status}: {training['episodes']} of {training['training_episodes']} episodes"
    if training["episodes"]:
        yield f"  {training['turns']:,} turns played, epsilon {_figure(training['epsilon'])}"
        recent = training["recent_episodes"]
        yield f"  mean reward of the last {recent}: {_figure(training['mean_reward_recent'])}"
        yield f"  best reward of an episode: {_figure(training['best_reward'])}"


def _episode_line(episode: dict[str, Any]) -> str:
    figures: dict[str, Any] = {name: math.nan if value is None else value for name, value in episode.items()}
    return format_episode(EpisodeLine(**figures))


def _checkpoint_lines(checkpoints: list[dict[str, Any]]) -> Iterator[str]:
    if not checkpoints:
        yield "  none"
    width = max((len(file["file"]) for file in checkpoints), default=0)
    for file in checkpoints:
        yield f"  {file['file']:<{width}}  {_date(file['modified'])}  {_size(file['size_bytes']):>9}"


def _next_steps(report: dict[str, Any]) -> Iterator[str]:
    place = shlex.quote(report["run"])
    if report["checkpoints"]:
        yield f"Watch it: retro-gamer play {place}"
    if report["training"]["status"] == "not started":
        yield f"Train it: retro-gamer train {place}"
    elif report["training"]["episodes"] < report["training"]["training_episodes"]:
        resume = " --resume latest" if report["checkpoints"] else ""
        yield f"Go on:    retro-gamer train {place}{resume}"


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else to_toml(value)


def _date(text: str) -> str:
    try:
        return f"{datetime.datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
    except ValueError:
        return text or "(date unknown)"


def _size(size_bytes: int) -> str:
    if size_bytes < 1000:
        return f"{size_bytes} B"
    return f"{size_bytes / 1e3:.1f} kB" if size_bytes < 1e6 else f"{size_bytes / 1e6:.1f} MB"


def _figure(value: float | None) -> str:
    return "nan" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
