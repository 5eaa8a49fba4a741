"""Runs with checkpoints made by hand, so that what is played is known without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from retro_gamer.driver.creation import create_run
from retro_gamer.features.spec import make_spec
from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.checkpoint import dump_checkpoint, load_checkpoint
from retro_gamer.learning.learner import Learner
from retro_gamer.run.config import RunConfig, load_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import EventSink
from retro_gamer.run.writer import RunWriter
from retro_gamer.training.loop.backend import Replay
from retro_gamer.training.loop.checkpointing import Checkpointing, Counters

WALK = '''\
"""A walker earns a point for each cell to the right; at the edges of the board the game is over."""
from retro.agent import ArrowKeyAgent
from retro.game import Game

class Walker(ArrowKeyAgent):
    name = "walker"
    character = "@"
    position = (4, 2)

    def try_to_move(self, position, game):
        game.state["score"] += position[0] - self.position[0]
        if game.on_board(position):
            self.position = position
        else:
            game.end()

class Wall:
    name = "wall"
    character = "#"
    position = (8, 0)

def create_game():
    return Game([Walker(), Wall()], {"score": 0, "lives": 3}, board_size=(10, 4), framerate=1)
'''
DESCRIPTION = """\
[tool.retro-gamer]
actions = ["KEY_RIGHT", "KEY_LEFT"]
reward = "score"
character_set = ["@", "#"]
observe_state = ["lives"]
"""
RIGHT, LEFT, NOTHING = 0, 1, 2


def make_run(
    folder: Path, *, game: str = WALK, description: str = DESCRIPTION, run_name: str = "run", **settings: Any
) -> Path:
    """Write a game into `folder`/project and return a new run for it, not trained yet."""
    project = folder / "project"
    project.mkdir(exist_ok=True)
    (project / "game.py").write_text(game, encoding="utf-8")
    (project / "pyproject.toml").write_text(description, encoding="utf-8")
    small = {"n_layers": 1, "layer_size": 8, "crop_radius": 1, **settings}
    return create_run(str(project / "game.py"), folder / run_name, small).directory.path


def make_learner(config: RunConfig, *, always: int | None = None) -> Learner:
    """Return a learner with random weights or, with `always`, one that prefers that action on every board."""
    metadata = config.metadata
    spec = make_spec(metadata, config.hyperparameters, has_player=True)
    learner = Learner(spec, config.hyperparameters, metadata.character_set or ())
    if always is not None:
        parameters = list(learner.network.parameters())
        with torch.no_grad():
            for parameter in parameters:
                parameter.zero_()
            parameters[-1][always - spec.n_actions] = 1.0  # the bias of the last layer
        state = learner.get_state()
        learner.set_state({**state, "model_state_dict": state["online_state_dict"]})
    return learner


def make_checkpointing(
    learner: Learner, metadata: GameMetadata, settings: Hyperparameters, sink: EventSink
) -> Checkpointing:
    """Return what saves checkpoints of the learner; without workers it can save no snapshot."""
    nobody = cast(Replay, None)
    return Checkpointing(
        learner=learner, replay=nobody, metadata=metadata, settings=settings, sink=sink, is_inline=False
    )


def save(run_dir: Path, *names: str, change: Callable[[dict[str, Any]], None] | None = None, **chosen: Any) -> Learner:
    """Write the checkpoints `names` of one learner, which is returned; `change` alters their state first."""
    config = load_config(run_dir)
    learner = make_learner(config, **chosen)
    made = RunDirectory(run_dir.parent / "made")
    checkpointing = make_checkpointing(learner, config.metadata, config.hyperparameters, RunWriter(made))
    file = made.resolve_checkpoint(checkpointing.save(Counters(episodes=100, turns=1000)))
    state = load_checkpoint(file.path.read_bytes(), file.name)
    if change is not None:
        change(state)
    for name in names or ("final",):
        RunDirectory(run_dir).write_checkpoint(name, dump_checkpoint(state))
    return learner


def make_trained_run(folder: Path, names: Sequence[str] = ("final",), always: int = RIGHT, **given: Any) -> Path:
    """Return a run whose checkpoints always choose one action."""
    run_dir = make_run(folder, **given)
    save(run_dir, *names, always=always)
    return run_dir
