"""Run specs as `train` prepares them, to measure the pieces of a run one by one."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from retro_gamer.acting.actor import Grant
from retro_gamer.driver.creation import create_run
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.learner import Learner
from retro_gamer.replay.transitions import Batch, Block
from retro_gamer.run.config import load_config, update_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.training.planning.run_spec import RunSpec
from retro_gamer.training.preparation import prepare_run

SNAKE = "retro.examples.snake"
NAV = "retro.examples.nav"
BEAST = "retro.examples.beast"
LABYRINTH = "retro.examples.labyrinth"
GAMES = {"snake": SNAKE, "nav": NAV, "beast": BEAST, "labyrinth": LABYRINTH}


def make_run(
    folder: Path, game: str, settings: Mapping[str, Any], description: Mapping[str, Any] | None = None
) -> Path:
    """Make a run of a game in `folder`; `description` overrides fields of its description."""
    path = create_run(game, folder / "run", settings).directory.path
    if description:
        update_config(path, {("metadata", name): value for name, value in description.items()})
    return path


def read_run_spec(run_dir: Path) -> RunSpec:
    """Return the run spec of a run, its game opened as `train` does."""
    return prepare_run(RunDirectory.open(run_dir), load_config(run_dir)).run_spec


@contextlib.contextmanager
def temporary_run_spec(game: str, description: Mapping[str, Any] | None = None, **settings: Any) -> Iterator[RunSpec]:
    """Yield the run spec of a run in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        yield read_run_spec(make_run(Path(name), game, settings, description))


def make_learner(run_spec: RunSpec) -> Learner:
    """Return a fresh learner of a run."""
    return Learner(run_spec.network, run_spec.settings, run_spec.metadata.character_set or ())


def play_blocks(run_spec: RunSpec, turns: int, *, epsilon: float = 1.0, block_turns: int = 512) -> list[Block]:
    """Return the blocks of `turns` real turns of the run's game."""
    blocks: list[Block] = []

    def keep(block: Block) -> int:
        blocks.append(block)
        return 0

    actor = run_spec.make_actor(n_games=run_spec.settings.games_per_actor, block_turns=block_turns, seed=1)
    grant = Grant(turns=turns, seconds=600.0, epsilon=epsilon, tickets=tuple(range(turns)))
    actor.play(grant, make_learner(run_spec).publish(), keep)
    return blocks


def make_random_batch(spec: NetworkSpec, size: int, seed: int = 0) -> Batch:
    """Return a batch of boards of which a tenth of the cells is not empty, the player in the middle."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, spec.n_characters + 1, (2, size, spec.height, spec.width), dtype=np.uint8)
    codes[random.random(codes.shape) < 0.9] = 0
    player = np.full((size, 2), -1, np.int16)
    if spec.has_player:
        player[:] = (spec.width // 2, spec.height // 2)
    state = np.zeros((size, spec.n_state), np.float32)
    return Batch(
        codes=codes[0],
        player=player,
        state=state,
        action=random.integers(0, spec.n_actions, size),
        returns=random.normal(0, 1, size).astype(np.float32),
        discounts=np.full(size, 0.97, np.float32),
        next_codes=codes[1],
        next_player=player,
        next_state=state,
        weights=np.ones(size, np.float32),
        ids=np.arange(size, dtype=np.int64),
    )
