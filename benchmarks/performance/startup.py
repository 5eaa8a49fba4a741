"""From typing `retro-gamer train` to the first line of an episode, and the memory of a run with two actors.

python -m benchmarks.performance.startup [--repetitions 3] [--actors 2]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child import end_session, print_result
from benchmarks.performance.arguments import add_settings, read_settings
from benchmarks.performance.run_specs import SNAKE, make_run
from benchmarks.processes import sum_pss

TIMEOUT_SECONDS = 120
POLL_SECONDS = 0.02
MANY = 1_000_000_000


class TrainingProcess:
    """`retro-gamer train` as a user types it, in a process of its own; ended when it is left."""

    def __init__(self, run_dir: Path, *options: str) -> None:
        self._log = run_dir / "training.log"
        self.started = time.monotonic()
        self._output = run_dir / "output.txt"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "retro_gamer", "train", str(run_dir), *options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> TrainingProcess:
        return self

    def __exit__(self, *_: object) -> None:
        end_session(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for_episode(self) -> float:
        """Return the seconds from the start to the first episode in the log.

        Raises:
            RuntimeError: if there is none in time, or the training ends before.
        """
        while time.monotonic() < self.started + TIMEOUT_SECONDS:
            if self._log.exists() and "\n[EP " in self._log.read_text():
                return time.monotonic() - self.started
            self.check_alive()
            time.sleep(POLL_SECONDS)
        raise RuntimeError(f"no episode in {TIMEOUT_SECONDS} s\n{self._read_output()}")

    def check_alive(self) -> None:
        """Return if the training still runs.

        Raises:
            RuntimeError: with the end of what it printed, if it has ended.
        """
        if self._process.poll() is not None:
            raise RuntimeError(
                f"the training ended too early, status {self._process.returncode}\n{self._read_output()}"
            )

    def wait_for_end(self, timeout_seconds: float) -> None:
        """Return when the training has ended as it should.

        Raises:
            RuntimeError: if it failed.
            subprocess.TimeoutExpired: if it takes longer.
        """
        status = self._process.wait(timeout_seconds)
        if status != 0:
            raise RuntimeError(f"the training ended with status {status}\n{self._read_output()}")

    def _read_output(self) -> str:
        return self._output.read_text(errors="replace")[-2000:]


def measure_startup(repetitions: int, settings: dict[str, Any]) -> list[float]:
    """Return the seconds to the first episode of several default runs of Snake."""
    found = []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as name:
            run_dir = make_run(Path(name), SNAKE, {"training_episodes": MANY, **settings})
            with TrainingProcess(run_dir) as training:
                found.append(training.wait_for_episode())
    return found


def measure_memory(actors: int, seconds: float, settings: dict[str, Any]) -> int | None:
    """Return the largest PSS in bytes of all processes of a default run, sampled once a second for `seconds`."""
    with tempfile.TemporaryDirectory() as name:
        run_dir = make_run(Path(name), SNAKE, {"training_episodes": MANY, **settings})
        with TrainingProcess(run_dir, "--actors", str(actors)) as training:
            training.wait_for_episode()
            found = []
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                found.append(sum_pss(training.pid))
                time.sleep(1)
            sizes = [size for size in found if size is not None]
            return max(sizes) if sizes else None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15)
    add_settings(parser)
    given = parser.parse_args()
    settings = read_settings(given)
    times = measure_startup(given.repetitions, settings)
    memory = measure_memory(given.actors, given.seconds, settings)
    print_result(
        {
            "first_episode_seconds": float(np.median(times)),
            "all_seconds": times,
            "actors": given.actors,
            "pss_bytes": memory,
        }
    )


if __name__ == "__main__":
    main()
