"""Runs of the command itself that are interrupted, terminated or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.log import TrainingLog
from tests.trained_runs import WALK, make_run

UNWRITABLE_HOME = {"HOME": "/dev/null"}
ENDLESS: dict[str, Any] = {"training_episodes": 1_000_000, "learning_starts": 50, "max_turns_per_episode": 20}


class Training:
    """The command `train` in a process of its own."""

    def __init__(
        self,
        run_dir: Path,
        *options: str,
        ignores_sigint: bool = False,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.run = RunDirectory(run_dir)
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "retro_gamer", "train", str(run_dir), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            # A shell starts what it runs in the background like this.
            preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignores_sigint else None,
        )

    def read_until(self, words: str) -> None:
        assert self.process.stdout is not None
        while words not in self.shown:
            line = self.process.stdout.readline()
            assert line, f"training ended early:\n{self.shown}"
            self.shown += line

    def end(self, *numbers: signal.Signals) -> int:
        """Send signals and return the exit status."""
        for number in numbers:
            self.process.send_signal(number)
        assert self.process.stdout is not None
        with self.process.stdout:
            self.shown += self.process.stdout.read()
        return self.process.wait(60)

    def episodes(self) -> int:
        lines = TrainingLog(self.run.log_path).read_episodes()
        assert [line.episode for line in lines] == list(range(1, len(lines) + 1))
        return len(lines)


def processes_below(pid: int) -> set[int]:
    """Return the processes that `pid` started, and those that they did."""
    found = {pid}
    parents = dict(_parents())
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def _parents() -> Iterator[tuple[int, int]]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        pid, parent = line.split()
        yield int(pid), int(parent)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_in_the_background_of_a_shell_ctrl_c_ends_every_process_and_a_checkpoint_stays(tmp_path: Path) -> None:
    training = Training(
        make_run(tmp_path, **ENDLESS), "--actors", "1", ignores_sigint=True, environment=UNWRITABLE_HOME
    )
    training.read_until("episode ")
    training.read_until("turns/update 4")
    started = processes_below(training.process.pid)
    assert len(started) >= 4  # Ray's own, replay and an actor
    assert training.end(signal.SIGINT) == 130, training.shown
    latest = training.run.checkpoints()[-1]
    assert latest.episode == training.episodes()
    assert f"--resume {latest.name}" in training.shown
    assert not [pid for pid in started if is_alive(pid)]


def test_sigterm_is_status_143(tmp_path: Path) -> None:
    training = Training(make_run(tmp_path, **ENDLESS), "--actors", "0")
    training.read_until("episode ")
    assert training.end(signal.SIGTERM) == 143, training.shown
    assert "Continue:" in training.shown
    assert training.run.checkpoints()[-1].episode == training.episodes()


STUCK = """
    def play_turn(self, game):
        import threading
        if game.turn_number > 1:
            threading.Event().wait(1000)
"""
SLOW = WALK.replace("    position = (4, 2)\n", f"    position = (4, 2)\n{STUCK}")


def test_a_second_ctrl_c_leaves_at_once(tmp_path: Path) -> None:
    """The game never comes back, so the first one alone would wait for the end of its turn."""
    training = Training(make_run(tmp_path, game=SLOW, exploration_turns=1, **ENDLESS), "--actors", "0")
    training.read_until("one game at a time")
    while not training.run.log_path.exists():
        assert training.process.poll() is None, training.shown
    assert training.end(signal.SIGINT, signal.SIGINT) == 130, training.shown


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, checkpoint_minutes=0.001, **ENDLESS)
    training = Training(run_dir, "--actors", "0")
    training.read_until("turns/update 4")
    while len(training.run.checkpoints()) < 2:
        assert training.process.poll() is None, training.shown
    assert training.end(signal.SIGKILL) == -signal.SIGKILL
    kept = max(file.episode or 0 for file in training.run.checkpoints())
    resumed = Training(run_dir, "--actors", "0", "--resume", "latest", "--minutes", "0.02")
    assert resumed.end() == 0, resumed.shown
    assert f"at episode {kept}" in resumed.shown
    assert "Replay memory restored (" in resumed.shown
    assert resumed.episodes() > kept
