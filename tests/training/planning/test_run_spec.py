from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from retro.game import Game

from retro_gamer.acting.actor import Grant
from retro_gamer.errors import GameNotFoundError
from retro_gamer.features.spec import make_spec
from retro_gamer.games.loading.find import GameSource
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.learner import Learner
from retro_gamer.replay.buffer import LEAST_SPARE_ROWS
from retro_gamer.replay.transitions import Block
from retro_gamer.run.config import load_config
from retro_gamer.training.planning.run_spec import MOST_SPARE_ROWS, SHORT_GRANT_UPDATES, RunSpec, share_of_spare_rows
from tests.training.corridors import CORRIDOR, make_corridor_run


def make_run_spec(folder: Path, **settings: Any) -> RunSpec:
    config = load_config(make_corridor_run(folder, **settings).path)
    return RunSpec(
        source=config.require_source(),
        factory=None,
        metadata=config.metadata,
        settings=config.hyperparameters,
        network=make_spec(config.metadata, config.hyperparameters, has_player=True),
    )


def test_work_that_travelled_makes_actors_and_replay_that_fit_each_other(tmp_path: Path) -> None:
    run_spec: RunSpec = pickle.loads(pickle.dumps(make_run_spec(tmp_path, prioritize_experiences=True)))
    actor, replay = run_spec.make_actor(n_games=2, block_turns=16, seed=1), run_spec.make_replay(1)
    weights = Learner(run_spec.network, run_spec.settings, run_spec.metadata.character_set or ()).publish()
    report = actor.play(Grant(turns=100, seconds=60, epsilon=1.0, tickets=(1, 2, 3, 4)), weights, replay.push)
    assert report.replay_turns == replay.turns == report.turns >= 80
    batch = replay.sample(1, 32)[0]
    assert set(np.unique(batch.codes)) <= {0, 1, 2}
    assert batch.player[:, 1].tolist() == [0] * 32
    assert not (batch.weights == 1).all() or len(set(batch.weights.tolist())) == 1


def test_replay_has_the_settings_of_the_run(tmp_path: Path) -> None:
    run_spec = make_run_spec(tmp_path, memory_capacity=100)
    replay = run_spec.make_replay(3)
    assert replay.capacity == 100
    first, second = run_spec.make_replay(3), run_spec.make_replay(4)
    for memory in (replay, first, second):
        memory.push(rows_of_steps(90))
    np.testing.assert_array_equal(replay.sample(1, 20)[0].ids, first.sample(1, 20)[0].ids)
    assert (replay.sample(1, 50)[0].ids != second.sample(1, 50)[0].ids).any()


def rows_of_steps(count: int) -> Block:
    return Block(
        codes=np.zeros((count + 1, 1, 7), np.uint8),
        player=np.zeros((count + 1, 2), np.int16),
        state=np.zeros((count + 1, 0), np.float32),
        first=np.arange(count, dtype=np.int32),
        next=np.arange(1, count + 1, dtype=np.int32),
        action=np.zeros(count, np.uint16),
        returns=np.zeros(count, np.float32),
        discounts=np.ones(count, np.float32),
        priorities=None,
        turns=count,
    )


def test_every_game_of_an_actor_has_modules_of_its_own(tmp_path: Path) -> None:
    run_spec = make_run_spec(tmp_path)
    first, second = run_spec.make_session(), run_spec.make_session()
    assert first is not second
    for session in (first, second):
        session.start()
    assert type(first.game.agents[0]) is not type(second.game.agents[0])


def test_a_function_handed_over_is_used_as_it_is(tmp_path: Path) -> None:
    run_spec = make_run_spec(tmp_path)
    games: list[Game] = []

    def make_game() -> Game:
        games.append(Game([], {"score": 0}, board_size=(7, 1)))
        return games[-1]

    given = RunSpec(
        source=None, factory=make_game, metadata=run_spec.metadata, settings=run_spec.settings, network=run_spec.network
    )
    session = given.make_session()
    session.start()
    assert session.game is games[0]


def test_a_source_that_is_gone_is_said_so(tmp_path: Path) -> None:
    run_spec = make_run_spec(tmp_path)
    lost = RunSpec(
        source=GameSource(module="no_such_game_at_all"),
        factory=None,
        metadata=run_spec.metadata,
        settings=run_spec.settings,
        network=run_spec.network,
    )
    with pytest.raises(GameNotFoundError, match="no_such_game_at_all"):
        lost.make_actor(n_games=1, block_turns=8, seed=0)


@pytest.mark.parametrize(("n_step", "train_every"), [(3, 4), (10, 4), (1, 1)])
def test_short_grants_leave_the_memory_its_whole_capacity(tmp_path: Path, n_step: int, train_every: int) -> None:
    """With each, the rows that the experiences under way need are sent again."""
    endless = CORRIDOR.replace("x == 6", "x == 600")
    settings = {"memory_capacity": 20_000, "games_per_actor": 8, "max_turns_per_episode": 40}
    run_spec = make_run_spec(tmp_path, game=endless, n_step=n_step, train_every=train_every, **settings)
    actor, replay = run_spec.make_actor(n_games=8, block_turns=512, seed=1), run_spec.make_replay(1)
    weights = Learner(run_spec.network, run_spec.settings, run_spec.metadata.character_set or ()).publish()
    tickets = itertools.count(1)
    while replay.turns < 26_000:
        granted = Grant(
            turns=SHORT_GRANT_UPDATES * train_every,
            seconds=60,
            epsilon=1.0,
            tickets=tuple(next(tickets) for _ in range(8)),
        )
        actor.play(granted, weights, replay.push)
    assert len(replay) == 20_000


def test_the_memory_of_the_defaults_stays_as_small_as_it_was(tmp_path: Path) -> None:
    assert share_of_spare_rows(Hyperparameters()) == LEAST_SPARE_ROWS
    assert share_of_spare_rows(Hyperparameters(n_step=100, train_every=1)) == MOST_SPARE_ROWS
