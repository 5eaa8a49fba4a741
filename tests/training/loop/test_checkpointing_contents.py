from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from retro_gamer.errors import EngineError
from retro_gamer.features.spec import make_spec
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.checkpoint import load_checkpoint
from retro_gamer.learning.learner import Learner
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import CharacterSet, Remark
from retro_gamer.run.log import EpisodeLine
from retro_gamer.run.writer import RunWriter
from retro_gamer.training.loop.checkpointing import (
    Checkpointing,
    Counters,
)
from tests.trained_runs import make_checkpointing
from tests.training.corridors import make_corridor_run


@dataclasses.dataclass
class Recording:
    run: RunDirectory
    learner: Learner
    writer: RunWriter
    checkpointing: Checkpointing


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    run = make_corridor_run(tmp_path, epsilon_decay=0.5, epsilon_min=0.01)
    config = load_config(run.path)
    metadata = dataclasses.replace(config.metadata, player="walker")
    learner = Learner(make_spec(metadata, config.hyperparameters, True), config.hyperparameters, ("@", ">"))
    writer = RunWriter(run)
    checkpointing = make_checkpointing(learner, metadata, config.hyperparameters, writer)
    return Recording(run, learner, writer, checkpointing)


def read(run: RunDirectory, name: str) -> dict[str, object]:
    return load_checkpoint((run.checkpoints_dir / f"{name}.pt").read_bytes(), name)


def test_lines_and_notes_go_to_the_log(recording: Recording) -> None:
    line = EpisodeLine(episode=7, total_reward=2.5, steps=30, epsilon=0.5, avg_loss=0.25)
    recording.writer.handle(Remark("the game failed\nbadly"))
    recording.writer.handle(line)
    assert recording.run.log_path.read_text().splitlines() == [
        "# the game failed",
        "# badly",
        "[EP 0007] total_reward=2.5 steps=30 epsilon=0.5 avg_loss=0.25",
    ]


def test_a_checkpoint_holds_the_run_at_that_episode(recording: Recording) -> None:
    assert recording.checkpointing.save(Counters(episodes=3, turns=450, slack_turns=-7)) == "ep_0003"
    state = read(recording.run, "ep_0003")
    expected = {"episode": 3, "total_turns": 450, "epsilon": 0.125, "total_steps": 0, "characters": ["@", ">"]}
    expected |= {"slack_turns": -7, "replay_snapshot": None}
    assert {name: state[name] for name in expected} == expected
    assert state["player"] == "walker"
    assert state["spec"] == dataclasses.asdict(recording.learner.spec)
    assert Hyperparameters.from_mapping(state["hyperparameters"]).epsilon_decay == 0.5  # type: ignore[arg-type]
    model = state["model_state_dict"]
    assert isinstance(model, dict)
    assert all(torch.equal(model[name], p) for name, p in recording.learner.network.named_parameters())


def test_the_final_checkpoint_has_its_own_name(recording: Recording) -> None:
    assert recording.checkpointing.save(Counters(episodes=12, turns=450), is_final=True) == "final"
    assert [file.name for file in recording.run.checkpoints()] == ["final"]
    assert read(recording.run, "final")["episode"] == 12


def test_a_grown_character_set_is_written_down_and_stands_in_later_checkpoints(recording: Recording) -> None:
    recording.learner.extend(("@", ">", "x"))
    recording.writer.handle(CharacterSet(("@", ">", "x")))
    assert load_config(recording.run.path).metadata.character_set == ("@", ">", "x")
    recording.checkpointing.save(Counters(episodes=1, turns=1))
    state = read(recording.run, "ep_0001")
    assert state["characters"] == ["@", ">", "x"]
    assert state["spec"] == dataclasses.asdict(recording.learner.spec)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_never_take_a_good_checkpoints_place(recording: Recording, poison: float) -> None:
    counters = Counters(episodes=3, turns=450, slack_turns=0)
    recording.checkpointing.save(counters)
    recording.checkpointing.save(counters, is_final=True)
    before = {path.name: path.read_bytes() for path in recording.run.checkpoints_dir.iterdir()}
    with torch.no_grad():
        next(recording.learner.network.parameters()).view(-1)[0] = poison
    for is_final in (False, True):
        with pytest.raises(EngineError, match="not finite"):
            recording.checkpointing.save(counters, is_final=is_final)
    assert {path.name: path.read_bytes() for path in recording.run.checkpoints_dir.iterdir()} == before
