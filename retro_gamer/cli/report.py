"""What is known of a run, read from its files only: neither torch nor ray is needed to look back."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from retro_gamer.hyperparameters import SETTINGS
from retro_gamer.run.config import RunConfig, load_config
from retro_gamer.run.directory import FINAL, CheckpointFile, RunDirectory
from retro_gamer.run.log import EpisodeLine, TrainingLog

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
