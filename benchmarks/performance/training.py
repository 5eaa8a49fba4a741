"""Turns a second of a whole training, with the very code of `retro-gamer train`.

    python -m benchmarks.performance.training --game snake --seconds 60 [--set name=value ...]

Counted by replay, from a while after the first update to the end of the window, so that games in flight do not blur
it. The memory of all processes is read in the middle.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.child import print_result
from benchmarks.performance.arguments import add_settings, read_settings
from benchmarks.performance.run_specs import GAMES, make_run
from benchmarks.processes import sum_pss
from retro_gamer.driver.training_run import train
from retro_gamer.run.events import Progress, Remark, RunEvent, Starting
from retro_gamer.training.planning.allocation import ClusterOptions

MANY = 1_000_000_000


class Window:
    """A display that keeps the counts at both ends of the window and then stops the training, as Ctrl-C would."""

    def __init__(self, warm_seconds: float, seconds: float) -> None:
        self._warm_seconds, self._seconds = warm_seconds, seconds
        self._began: float | None = None
        self._is_stopped = False
        self.first: tuple[float, Progress] | None = None
        self.last: tuple[float, Progress] | None = None
        self.text = ""
        self.pss_bytes: int | None = None

    def handle(self, event: RunEvent) -> None:
        match event:
            case Starting():
                self.text = event.text
            case Progress():
                self._count(event)
            case Remark():
                print(event.text)

    def _count(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.updates and self._began is None:
            self._began = now
        if self._began is None or now < self._began + self._warm_seconds:
            return
        if self.first is None:
            self.first = (now, progress)
            # Before the window begins to count: reading the pages of all processes takes a moment.
            self.pss_bytes = sum_pss(os.getpid())
            self.first = (time.monotonic(), progress)
        elif now <= self.first[0] + self._seconds:
            self.last = (now, progress)
        else:
            self._stop()

    def _stop(self) -> None:
        if not self._is_stopped:
            self._is_stopped = True
            os.kill(os.getpid(), signal.SIGINT)

    def result(self) -> dict[str, Any]:
        if self.first is None or self.last is None:
            raise RuntimeError("the window was too short: the trainer reported nothing in it")
        (began, first), (ended, last) = self.first, self.last
        seconds = ended - began
        return {
            "turns_per_second": (last.turns - first.turns) / seconds,
            "updates_per_second": (last.updates - first.updates) / seconds,
            "window_seconds": seconds,
            "turns_per_update": last.turns_per_update,
            "actors": last.n_actors,
            "pss_bytes": self.pss_bytes,
            "plan": self.text.partition("Allocation")[2].strip().splitlines(),
        }


def measure_training(
    run_dir: Path,
    window: Window,
    n_actors: int | None,
    factory: Callable[[], Any] | None = None,
    cluster: ClusterOptions | None = None,
) -> dict[str, Any]:
    """Return the numbers of a training that is stopped when its window is over."""
    train(run_dir, n_actors=n_actors, display=window, factory=factory, cluster=cluster)
    return window.result()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--game", choices=[*GAMES, "strided"], required=True)
    parser.add_argument("--warm-seconds", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--actors", type=int)
    parser.add_argument("--address", help="of a Ray cluster to train on")
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--flat", action="store_true", help="spatial = false")
    add_settings(parser)
    given = parser.parse_args()
    settings = read_settings(given)
    factory = None
    if given.game == "strided":
        from benchmarks.performance import strided

        factory = strided.create_game
    cluster = ClusterOptions(address=given.address, gpus=given.gpus) if given.address else None
    window = Window(given.warm_seconds, given.seconds)
    with tempfile.TemporaryDirectory() as name:
        run_dir = make_run(
            Path(name), GAMES.get(given.game, GAMES["snake"]), {"training_episodes": MANY, **settings},
            {"spatial": False} if given.flat else None,
        )  # fmt: skip
        print_result(measure_training(run_dir, window, given.actors, factory, cluster))


if __name__ == "__main__":
    main()
