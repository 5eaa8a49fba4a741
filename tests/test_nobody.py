"""A user without an entry in the list of users and without a home, as containers run programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retro_gamer.run.directory import RunDirectory
from tests.trained_runs import make_run

NO_ENTRY = """
import pwd

def has_no_entry(key):
    raise KeyError(f"{key} not found")

pwd.getpwuid = pwd.getpwnam = has_no_entry
"""
"""Run by every Python that starts, those of Ray too."""


@pytest.mark.parametrize("actors", ["0", "1"])
def test_training_needs_no_name_and_no_home(tmp_path: Path, actors: str) -> None:
    run_dir = make_run(tmp_path, training_episodes=3, max_turns_per_episode=20, learning_starts=10)
    (tmp_path / "sitecustomize.py").write_text(NO_ENTRY)
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "USER", "LOGNAME")}
    done = subprocess.run(
        [sys.executable, "-m", "retro_gamer", "train", str(run_dir), "--actors", actors],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bug" not in done.stderr
    assert [file.name for file in RunDirectory(run_dir).checkpoints()] == ["final"]
