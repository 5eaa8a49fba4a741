"""One training of the learning benchmark and its evaluation, through the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import run_module
from benchmarks.learning.games import GAMES, SEED, Task
from benchmarks.performance.run_specs import make_run
from benchmarks.performance.startup import TrainingProcess

KEPT = "kept"
CHECKPOINT_MINUTES = 0.5
"""So that there is a recent one at every mark; nothing that is learned depends on it."""
POLL_SECONDS = 0.5
SPARE_SECONDS = 600.0
EVALUATE_SECONDS = 3600.0
MANY = 1_000_000_000


def make_fresh_run(folder: Path, task: Task, settings: Mapping[str, Any]) -> Path:
    """Return a new run of a task in `folder`; what an interrupted part left there is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return make_run(folder, task.game, settings, {"reward": task.reward})


def train_by_minutes(run_dir: Path, minutes: float, marks: Sequence[float]) -> dict[float, str | None]:
    """Train for `minutes` and return, for each mark, the name under which the checkpoint of that minute is kept.

    None where there was no checkpoint yet. The time counts from the beginning of the log, as --minutes does.
    """
    names: dict[float, str | None] = {}
    with TrainingProcess(run_dir, "--minutes", str(minutes)) as training:
        began = _wait_for_log(training, run_dir / "training.log")
        for mark in sorted(mark for mark in marks if mark < minutes):
            while time.monotonic() < began + mark * 60:
                training.check_alive()
                time.sleep(POLL_SECONDS)
            names[mark] = keep_latest(run_dir, mark)
        training.wait_for_end(began + minutes * 60 + SPARE_SECONDS - time.monotonic())
    names[minutes] = "final"
    return names


def _wait_for_log(training: TrainingProcess, log: Path) -> float:
    while not log.exists():
        training.check_alive()
        time.sleep(POLL_SECONDS / 10)
    return time.monotonic()


def keep_latest(run_dir: Path, mark: float) -> str | None:
    """Copy the newest checkpoint to where it is not pruned, and return the name to evaluate it by; None without one."""
    checkpoints = run_dir / "checkpoints"
    for _ in range(3):
        newest = max(checkpoints.glob("ep_*.pt"), key=lambda path: int(path.stem[3:]), default=None)
        if newest is None:
            return None
        name = f"{KEPT}/minute_{mark:g}"
        (checkpoints / KEPT).mkdir(exist_ok=True)
        try:
            shutil.copyfile(newest, checkpoints / f"{name}.pt")
        except FileNotFoundError:  # pruned meanwhile: there is a newer one
            continue
        return name
    return None


def train_by_updates(run_dir: Path, updates: int, actors: int | None, timeout_seconds: float) -> dict[str, Any]:
    """Train for `updates` updates and return how it ended, with the name of the last checkpoint."""
    options = [] if actors is None else ["--actors", str(actors)]
    return run_module(
        "benchmarks.learning.fixed_updates", str(run_dir), "--updates", str(updates), *options,
        timeout_seconds=timeout_seconds,
    )  # fmt: skip


def train_by_episodes(run_dir: Path, timeout_seconds: float) -> float:
    """Train to the last episode and return the seconds from typing the command to its end."""
    with TrainingProcess(run_dir) as training:
        training.wait_for_end(timeout_seconds)
        return time.monotonic() - training.started


def evaluate(run_dir: Path, checkpoint: str, games: int = GAMES) -> dict[str, Any]:
    """Return the evaluation of greedy games of a checkpoint, by `retro-gamer evaluate`.

    Raises:
        subprocess.CalledProcessError: if the command fails.
    """
    done = subprocess.run(
        [
            sys.executable, "-m", "retro_gamer", "evaluate", str(run_dir), "--checkpoint", checkpoint,
            "--episodes", str(games), "--seed", str(SEED), "--json",
        ],
        check=True, capture_output=True, text=True, timeout=EVALUATE_SECONDS,
    )  # fmt: skip
    players = json.loads(done.stdout)["players"]
    evaluation = next(value for name, value in players.items() if name != "random")
    return {name: evaluation[name] for name in ("episodes", "mean", "interval", "median", "best", "mean_turns")}
