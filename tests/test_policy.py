from __future__ import annotations

import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from retro.agent import Agent
from retro.game import Game

from retro_gamer.errors import CheckpointError, CheckpointNotFoundError, RunNotFoundError, UsageError
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.session import GameSession
from retro_gamer.learning.networks.base import QNetwork
from retro_gamer.policy import PolicyInput, TrainedPolicy
from retro_gamer.run.config import load_config, update_config
from tests.learning.samples import q_values
from tests.trained_runs import DESCRIPTION, LEFT, NOTHING, RIGHT, make_run, save


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return make_run(tmp_path)


@pytest.fixture
def game(run_dir: Path) -> Game:
    return load_factory(load_config(run_dir).require_source())()


def expected_q_values(network: QNetwork, player: tuple[int, int]) -> np.ndarray:
    """The values of the game's first board, which is written here by hand, undoing the compression of the scale."""
    codes = np.zeros((4, 10), dtype=np.uint8)
    codes[2, 4], codes[0, 8] = 1, 2
    q = q_values(network, (codes[None], np.array([player], np.int16), np.array([[3.0]], np.float32)))[0]
    squashed = q.numpy().astype(np.float64)
    candidates = np.linspace(-5, 5, 200_001)
    compressed = np.sign(candidates) * (np.sqrt(np.abs(candidates) + 1) - 1) + 1e-3 * candidates
    values: np.ndarray = np.interp(squashed, compressed, candidates)
    return values


@pytest.mark.parametrize("spatial", ["true", "false"])
def test_q_values_are_those_of_the_network_in_units_of_reward(tmp_path: Path, spatial: str) -> None:
    run_dir = make_run(tmp_path, description=f"{DESCRIPTION}spatial = {spatial}\n")
    learner = save(run_dir)
    game = load_factory(load_config(run_dir).require_source())()

    q = TrainedPolicy(run_dir).q_values(game)

    assert q.dtype == np.float32
    np.testing.assert_allclose(q, expected_q_values(learner.network, player=(4, 2)), atol=1e-4)


def test_the_best_action_is_pressed(run_dir: Path, game: Game) -> None:
    save(run_dir, "ep_0001", always=RIGHT)
    save(run_dir, "ep_0002", always=LEFT)
    save(run_dir, "ep_0003", always=NOTHING)

    keys = [TrainedPolicy(run_dir, name).get_action(game) for name in ("ep_0001", "ep_0002.pt", "latest")]

    assert keys == ["KEY_RIGHT", "KEY_LEFT", None]


def test_an_agent_that_is_played_sees_the_board_from_its_own_place(run_dir: Path, game: Game) -> None:
    learner = save(run_dir)
    wall = game.agents[1]
    policy = TrainedPolicy(run_dir)

    np.testing.assert_allclose(
        policy.q_values(game, wall), expected_q_values(learner.network, player=(8, 0)), atol=1e-4
    )
    assert not np.allclose(policy.q_values(game, wall), policy.q_values(game))


def test_an_agent_off_the_board_or_hidden_has_no_place(run_dir: Path, game: Game) -> None:
    learner = save(run_dir)
    nowhere = expected_q_values(learner.network, player=(-1, -1))
    hidden, outside = Agent(), Agent()
    hidden.position, hidden.display = (1, 1), False
    outside.position = (99, 0)
    policy = TrainedPolicy(run_dir)

    np.testing.assert_allclose(policy.q_values(game, hidden), nowhere, atol=1e-4)
    np.testing.assert_allclose(policy.q_values(game, outside), nowhere, atol=1e-4)


def test_policy_input_plays_a_game_to_its_end(run_dir: Path, game: Game) -> None:
    save(run_dir, always=RIGHT)
    game.input_source = PolicyInput(TrainedPolicy(run_dir), game)
    game.start()
    turns = 0
    while game.playing and turns < 20:
        game.step()
        turns += 1

    assert (turns, game.state["score"]) == (6, 6)


def test_policy_input_presses_nothing_when_that_is_best(run_dir: Path, game: Game) -> None:
    save(run_dir, always=NOTHING)

    assert PolicyInput(TrainedPolicy(run_dir), game).collect() == set()


def test_policy_input_takes_the_agent_it_is_given_for_itself(run_dir: Path, game: Game) -> None:
    save(run_dir)
    policy = TrainedPolicy(run_dir)
    asked: list[Any] = []
    policy.get_action = lambda game, agent=None: asked.append(agent)  # type: ignore[method-assign]

    PolicyInput(policy, game, game.agents[1]).collect()

    assert asked == [game.agents[1]]


def test_without_final_the_latest_is_taken_and_said(run_dir: Path) -> None:
    save(run_dir, "ep_0100", "ep_0200")
    assert TrainedPolicy(run_dir).checkpoint.name == "ep_0200"
    assert "ep_0200" in (TrainedPolicy(run_dir).note or "")

    save(run_dir, "final")
    assert (TrainedPolicy(run_dir).checkpoint.name, TrainedPolicy(run_dir).note) == ("final", None)


def test_a_board_of_another_size_is_played_on_what_fits(run_dir: Path) -> None:
    save(run_dir, always=LEFT)
    larger = Game([Agent()], {"score": 0}, board_size=(50, 50))
    larger.agents[0].position = (40, 40)

    assert TrainedPolicy(run_dir).get_action(larger) == "KEY_LEFT"


@pytest.mark.parametrize("always", [RIGHT, LEFT, NOTHING])
def test_a_checkpoint_from_before_heads_were_dueling_is_played(run_dir: Path, game: Game, always: int) -> None:
    def make_older(state: dict[str, Any]) -> None:
        del state["spec"]["dueling"]
        for name in ("head.2.weight", "head.2.bias"):
            state["model_state_dict"][name] = state["model_state_dict"][name][1:]  # without what a board is worth

    save(run_dir, always=always, change=make_older)

    assert TrainedPolicy(run_dir).get_action(game) == {RIGHT: "KEY_RIGHT", LEFT: "KEY_LEFT", NOTHING: None}[always]


def test_a_checkpoint_keeps_its_own_characters(run_dir: Path, game: Game) -> None:
    learner = save(run_dir)
    update_config(run_dir, {("metadata", "character_set"): ["@", "#", "$"]})

    policy = TrainedPolicy(run_dir)

    assert policy.metadata.character_set == ("@", "#")
    np.testing.assert_allclose(policy.q_values(game), expected_q_values(learner.network, player=(4, 2)), atol=1e-4)


def test_a_configuration_changed_since_is_refused_by_name(run_dir: Path) -> None:
    save(run_dir)
    update_config(
        run_dir, {("metadata", "actions"): ["KEY_UP", "KEY_LEFT"], ("metadata", "observe_state"): ["score", "lives"]}
    )
    update_config(run_dir, {("metadata", "reward"): "lives", ("metadata", "observe_state"): ["score"]})

    with pytest.raises(CheckpointError, match=r"actions: .*KEY_RIGHT.*KEY_UP") as error:
        TrainedPolicy(run_dir)
    assert "observe_state: trained with ['lives'], now ['score']" in str(error.value)


def test_a_configuration_without_the_board_size_plays_on_the_board_of_the_checkpoint(run_dir: Path, game: Game) -> None:
    save(run_dir, always=LEFT)
    config = run_dir / "config.toml"
    lines = [line for line in config.read_text().splitlines() if not line.startswith("board_size")]
    config.write_text("\n".join(lines))
    assert load_config(run_dir).metadata.board_size is None
    policy = TrainedPolicy(run_dir)
    assert policy.metadata.board_size == (10, 4)
    assert policy.get_action(game) == "KEY_LEFT"


def test_a_game_whose_board_has_changed_since_is_refused_with_both_sizes(run_dir: Path) -> None:
    save(run_dir)
    policy = TrainedPolicy(run_dir)

    def make_session() -> GameSession:
        source = load_config(run_dir).require_source()
        return GameSession.load(source, policy.metadata)

    drawn = set()
    for _ in range(3):
        policy.check_game(make_session)
        drawn.add(random.random())
    assert len(drawn) == 3, "what is played next is not the same every time"
    path = run_dir.parent / "project" / "game.py"
    path.write_text(path.read_text().replace("board_size=(10, 4)", "board_size=(50, 10)"))
    with pytest.raises(CheckpointError, match="50 x 10 now and was 10 x 4 in training"):
        policy.check_game(make_session)


def test_another_size_of_network_in_the_configuration_does_not_matter(run_dir: Path) -> None:
    save(run_dir, always=LEFT)
    update_config(run_dir, {("hyperparameters", "layer_size"): 16, ("hyperparameters", "n_layers"): 3})

    assert TrainedPolicy(run_dir).metadata.n_actions == 3


def _set(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.update({name: value})


def _set_spec(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda state: state["spec"].update(values)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set_spec(layer_size=10**9), "layer_size"),
        (_set_spec(n_layers="many"), "n_layers"),
        (_set_spec(n_layers=2), "weights do not match"),
        (_set_spec(height=10**6), "another shape"),
        (_set_spec(n_actions=7), "another shape"),
        (_set_spec(colour="red"), "colour"),
        (_set("spec", [1, 2]), "damaged"),
        (_set("characters", ["@", "@"]), "twice"),
        (_set("characters", 5), "damaged"),
        (_set("characters", ["@"]), "another shape"),
        (_set("must_match", None), "must_match cannot be"),
        (_set("model_state_dict", {}), "weights do not match"),
        (_set("model_state_dict", [1]), "model_state_dict cannot be"),
    ],
)
def test_a_checkpoint_that_asks_for_the_impossible_is_refused(
    run_dir: Path, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    save(run_dir, change=change)

    with pytest.raises(CheckpointError, match=reason):
        TrainedPolicy(run_dir)


class _Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("was_run",)


def test_a_checkpoint_runs_no_code(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = run_dir / "checkpoints" / "final.pt"
    path.parent.mkdir(exist_ok=True)
    for data in (pickle.dumps(_Evil(), protocol=2), b"", b"no checkpoint at all"):
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"final\.pt"):
            TrainedPolicy(run_dir)
    torch.save({"format": _Evil()}, path)
    with pytest.raises(CheckpointError, match="nothing of it was run"):
        TrainedPolicy(run_dir)
    assert not (tmp_path / "was_run").exists()


def test_a_truncated_checkpoint_is_named(run_dir: Path) -> None:
    save(run_dir)
    path = run_dir / "checkpoints" / "final.pt"
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(CheckpointError, match=r"final\.pt is damaged"):
        TrainedPolicy(run_dir)


def test_what_is_missing_is_said(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        TrainedPolicy(tmp_path / "nowhere")
    with pytest.raises(CheckpointNotFoundError, match="no checkpoint yet"):
        TrainedPolicy(run_dir)
    save(run_dir, "ep_0100")
    with pytest.raises(CheckpointNotFoundError, match="ep_0100"):
        TrainedPolicy(run_dir, "ep_0200")
    with pytest.raises(UsageError, match="outside"):
        TrainedPolicy(run_dir, "../config.toml")
