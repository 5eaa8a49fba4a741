"""A corridor whose door at the right end is worth ten points: a game that is solved within seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retro_gamer.driver.training_run import train
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.policy import TrainedPolicy
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import TrainingOutcome
from retro_gamer.run.log import EpisodeLine, TrainingLog
from tests.trained_runs import make_run
from tests.training.stand_ins import RecordingSink

LENGTH = 7

CORRIDOR = """\
from retro.game import Game

class Walker:
    name = "walker"
    character = "@"
    position = (0, 0)

    def handle_keystroke(self, keystroke, game):
        x, y = self.position
        x = max(0, x + {"KEY_RIGHT": 1, "KEY_LEFT": -1}.get(keystroke.name, 0))
        self.position = (x, y)
        if x == 6:
            game.state["score"] += 10
            game.end()

class Door:
    name = "door"
    character = ">"
    position = (6, 0)
    z = -1

def create_game():
    return Game([Walker(), Door()], {"score": 0, "steps": 0}, board_size=(7, 1))
"""

_SLOW = """

import select
from pathlib import Path

hurry = Path({hurry!r})
corridor = create_game

class Slow:
    display = False

    def play_turn(self, game):
        if not hurry.exists():
            select.select([], [], [], 0.02)

def create_game():
    game = corridor()
    game.add_agent(Slow())
    return game
"""

DESCRIPTION = """\
[tool.retro-gamer]
actions = ["KEY_RIGHT", "KEY_LEFT"]
reward = "score"
character_set = ["@", ">"]
"""

SMALL = {
    "layer_size": 16,
    "batch_size": 16,
    "learning_starts": 50,
    "learning_rate": 0.003,
    "target_update_freq": 25,
    "epsilon_decay": 0.95,
    "gamma": 0.9,
    "max_turns_per_episode": 40,
    "training_episodes": 30,
    "exploration_turns": 20,
    "games_per_actor": 2,
}


def make_slow_game(hurry: Path) -> str:
    """Return a corridor with some fifty turns a second, until there is a file `hurry`."""
    return CORRIDOR + _SLOW.format(hurry=str(hurry))


def make_corridor_run(
    folder: Path, *, game: str = CORRIDOR, description: str = DESCRIPTION, run_name: str = "run", **settings: Any
) -> RunDirectory:
    """Write the game into `folder` and return a new run for it with small settings."""
    return RunDirectory(
        make_run(folder, game=game, description=description, run_name=run_name, **{**SMALL, **settings})
    )


def train_here(run: RunDirectory, **given: Any) -> TrainingOutcome:
    """Train in this process."""
    return train(run.path, **{"n_actors": 0, "display": RecordingSink(), **given})


def episodes_of(run: RunDirectory) -> list[EpisodeLine]:
    """Return the episodes in the log, after checking that they are numbered without a gap."""
    lines = TrainingLog(run.log_path).read_episodes()
    assert [line.episode for line in lines] == list(range(1, len(lines) + 1))
    return lines


def count_greedy_turns(run: RunDirectory, limit: int = 40) -> int:
    """Return how many turns the trained agent takes to the door, at most `limit`."""
    policy = TrainedPolicy(run.path)
    game = load_factory(load_config(run.path).require_source())()
    x = 0
    for turn in range(1, limit + 1):
        x = max(0, x + {"KEY_RIGHT": 1, "KEY_LEFT": -1, None: 0}[policy.get_action(game)])
        game.agents[0].position = (x, 0)
        if x == LENGTH - 1:
            return turn
    return limit
