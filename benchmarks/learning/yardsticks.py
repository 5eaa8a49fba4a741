"""Random keys and the expert on one task, in a process of its own: games draw on the process's random generators.

python -m benchmarks.learning.yardsticks snake-score --games 100
"""

from __future__ import annotations

import argparse

from benchmarks.child import print_result
from benchmarks.learning.games import GAMES, TASKS, measure_yardsticks


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--games", type=int, default=GAMES)
    given = parser.parse_args()
    print_result(measure_yardsticks(TASKS[given.task], given.games))


if __name__ == "__main__":
    main()
