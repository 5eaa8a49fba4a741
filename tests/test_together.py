"""Several users train at once on one machine, as a class on a server does: each with a home and a Ray of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.training.corridors import episodes_of, make_corridor_run

USERS = 3


def left_behind(homes: list[Path]) -> list[str]:
    """Return the processes whose home is one of these."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            settings = (process / "environ").read_text(errors="replace").split("\0")
        except OSError:  # it has ended, or is not ours
            continue
        if any(f"HOME={home}" in settings for home in homes):
            found.append((process / "cmdline").read_text())
    return found


def test_users_who_train_at_once_do_not_meet(tmp_path: Path) -> None:
    homes = [tmp_path / f"user{number}" for number in range(USERS)]
    for home in homes:
        home.mkdir()
    runs = [make_corridor_run(home, training_episodes=40 + number) for number, home in enumerate(homes)]
    trainings = [
        subprocess.Popen(
            [sys.executable, "-m", "retro_gamer", "train", str(run.path), "--actors", "1"], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env={**os.environ, "HOME": str(home)},
        )
        for home, run in zip(homes, runs, strict=True)
    ]  # fmt: skip
    for number, (training, run) in enumerate(zip(trainings, runs, strict=True)):
        said, _ = training.communicate(timeout=240)
        assert training.returncode == 0, said
        assert len(episodes_of(run)) == 40 + number
    assert left_behind(homes) == []
