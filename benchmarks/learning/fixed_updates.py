"""Trains a run for a number of updates, however long that takes.

python -m benchmarks.learning.fixed_updates RUN_DIR --updates 20000 [--actors N]
"""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path

from benchmarks.child import print_result
from retro_gamer.driver.training_run import train
from retro_gamer.run.events import Progress, Remark, RunEvent, Starting


class UntilUpdates:
    """A display that stops the training, as Ctrl-C would, after a number of updates."""

    def __init__(self, updates: int) -> None:
        self._updates = updates
        self._is_stopped = False
        self.last: Progress | None = None

    def handle(self, event: RunEvent) -> None:
        match event:
            case Starting() | Remark():
                print(event.text)
            case Progress():
                self.last = event
                if event.updates >= self._updates and not self._is_stopped:
                    self._is_stopped = True
                    os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--updates", type=int, required=True)
    parser.add_argument("--actors", type=int)
    given = parser.parse_args()
    outcome = train(given.run_dir, n_actors=given.actors, display=UntilUpdates(given.updates))
    print_result(
        {
            "updates": outcome.updates,
            "turns": outcome.turns,
            "episodes": outcome.episodes,
            "seconds": outcome.seconds,
            "checkpoint": outcome.checkpoint,
        }
    )


if __name__ == "__main__":
    main()
