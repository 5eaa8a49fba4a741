"""Plays greedy games with an agent of the published trainer, through its public Python interface, and prints scores.

Each game begins by seeding Python's generator, as our own evaluation does.
"""

import argparse
import importlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from retro.input import ProgrammaticInput

from retro_gamer import TrainedPolicy


def play(policy: TrainedPolicy, create_game: Callable[[], Any], reward: str, seed: int, max_turns: int) -> float:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    game = create_game()
    keys = ProgrammaticInput()
    game.input_source = keys
    game.start()
    first = game.state[reward]
    while game.playing and game.turn_number < max_turns:
        keys.press(policy.get_action(game))
        game.step()
    return float(game.state[reward] - first)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run_dir")
    parser.add_argument("--module", required=True)
    parser.add_argument("--reward", required=True)
    parser.add_argument("--seeds", required=True, help="a JSON list")
    parser.add_argument("--max-turns", type=int, default=2000)
    given = parser.parse_args()
    create_game = importlib.import_module(given.module).create_game
    policy = TrainedPolicy(given.run_dir)
    seeds = json.loads(given.seeds)
    scores = [play(policy, create_game, given.reward, seed, given.max_turns) for seed in seeds]
    checkpoints = sorted(path.name for path in Path(given.run_dir, "checkpoints").iterdir())
    print("RESULT " + json.dumps({"scores": scores, "checkpoints": checkpoints[-3:]}), flush=True)


if __name__ == "__main__":
    main()
