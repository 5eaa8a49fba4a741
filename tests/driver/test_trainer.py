from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from retro_gamer import DQNTrainer, GameMetadata
from retro_gamer.errors import CheckpointError, ConfigurationError, GameFailedError, RunExistsError
from retro_gamer.games.loading.importing import ModuleSpace
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import Progress
from tests.training.corridors import CORRIDOR, SMALL, count_greedy_turns, episodes_of
from tests.training.stand_ins import RecordingSink

METADATA = GameMetadata(actions=("KEY_RIGHT", "KEY_LEFT"), reward="score", character_set=("@", ">"))
INLINE: dict[str, Any] = {**SMALL, "actors": 0, "n_layers": 1, "crop_radius": 2}


def make_function() -> Any:
    """Return a function that other processes cannot import, as one typed in a notebook."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(CORRIDOR, namespace)
    return namespace["create_game"]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A game in a module of its own, imported from a user's folder."""
    (tmp_path / "corridor_for_trainer.py").write_text(CORRIDOR)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "corridor_for_trainer", raising=False)
    return __import__("corridor_for_trainer")


def test_the_example_of_the_reference_with_a_module(module: ModuleType, tmp_path: Path) -> None:
    run_dir = tmp_path / "runs" / "corridor"
    reporter = RecordingSink()
    trainer = DQNTrainer(
        module.create_game, METADATA, run_dir, reporter=reporter, **{**INLINE, "training_episodes": 60}
    )
    outcome = trainer.train()
    assert (outcome.complete, outcome.episodes) == (True, 60)
    assert reporter.closed
    config = load_config(run_dir)
    assert config.require_source().module == "corridor_for_trainer"
    assert config.metadata.board_size == (7, 1)
    assert config.hyperparameters.training_episodes == 60
    assert count_greedy_turns(RunDirectory(run_dir)) == 6
    assert "retro-gamer play" not in (run_dir / "training.log").read_text()


def test_a_function_from_a_notebook_trains_and_the_run_says_so(tmp_path: Path) -> None:
    trainer = DQNTrainer(make_function(), METADATA, tmp_path / "run", reporter=RecordingSink(), **INLINE)
    assert trainer.train().complete
    assert len(episodes_of(RunDirectory(tmp_path / "run"))) == 30
    assert load_config(tmp_path / "run").source is None
    assert "retro-gamer play" in (tmp_path / "run" / "training.log").read_text()


def test_a_directory_with_a_run_behaves_as_the_command_does(module: ModuleType, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"

    def make(**given: Any) -> DQNTrainer:
        return DQNTrainer(module.create_game, METADATA, run_dir, reporter=RecordingSink(), **{**INLINE, **given})

    make().train()
    comments = [line for line in (run_dir / "config.toml").read_text().splitlines() if line.startswith("#")]
    with pytest.raises(RunExistsError, match="--resume"):
        make().train()
    outcome = make(resume="latest", training_episodes=40, gamma=0.8).train()
    assert outcome.episodes == 40
    assert len(episodes_of(RunDirectory(run_dir))) == 40
    assert load_config(run_dir).hyperparameters.gamma == 0.8
    after = [line for line in (run_dir / "config.toml").read_text().splitlines() if line.startswith("#")]
    assert after == comments


def test_a_training_that_is_refused_leaves_the_configuration_as_it_was(module: ModuleType, tmp_path: Path) -> None:
    def make(**given: Any) -> DQNTrainer:
        return DQNTrainer(module.create_game, METADATA, run_dir, reporter=RecordingSink(), **{**INLINE, **given})

    run_dir = tmp_path / "run"
    make().train()
    before = (run_dir / "config.toml").read_bytes()
    with pytest.raises(RunExistsError):
        make(n_layers=3).train()
    with pytest.raises(CheckpointError, match="n_layers"):
        make(n_layers=3, resume="latest").train()
    with pytest.raises(ConfigurationError, match="batch_size"):
        make(batch_size=load_config(run_dir).hyperparameters.memory_capacity + 1)
    assert (run_dir / "config.toml").read_bytes() == before


def test_minutes_end_the_training(tmp_path: Path) -> None:
    trainer = DQNTrainer(
        make_function(), METADATA, tmp_path / "run", minutes=0.2 / 60, reporter=RecordingSink(),
        **{**INLINE, "training_episodes": 10**9},
    )  # fmt: skip
    outcome = trainer.train()
    assert outcome.complete
    assert outcome.episodes < 10**6


def test_another_games_metadata_is_refused(module: ModuleType, tmp_path: Path) -> None:
    DQNTrainer(module.create_game, METADATA, tmp_path / "run", **INLINE)
    other = GameMetadata(actions=("KEY_UP",), reward="steps", character_set=("@", ">"))
    with pytest.raises(ConfigurationError) as raised:
        DQNTrainer(module.create_game, other, tmp_path / "run", **INLINE)
    assert {problem.field for problem in raised.value.problems} == {"actions", "reward"}


def test_hyperparameters_are_held_against_the_others_of_the_run_that_is_there(
    module: ModuleType, tmp_path: Path
) -> None:
    DQNTrainer(module.create_game, METADATA, tmp_path / "run", **{**INLINE, "epsilon_min": 0.01})
    DQNTrainer(module.create_game, METADATA, tmp_path / "run", **{**INLINE, "epsilon": 0.02})
    with pytest.raises(ConfigurationError, match=r"epsilon_min = 0\.01"):
        DQNTrainer(module.create_game, METADATA, tmp_path / "run", **{**INLINE, "epsilon": 0.005})


def test_wrong_hyperparameters_are_refused_together_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        DQNTrainer(make_function(), METADATA, tmp_path / "run", gamma=3, layers=2)
    assert [problem.field for problem in raised.value.problems] == ["gamma", "layers"]
    assert not (tmp_path / "run").exists()


def test_a_game_that_cannot_be_built_is_said_so_at_once(tmp_path: Path) -> None:
    def create_game() -> Any:
        raise FileNotFoundError("level1.txt")

    with pytest.raises(GameFailedError, match=r"level1\.txt"):
        DQNTrainer(create_game, METADATA, tmp_path / "run")


def test_the_reporter_is_closed_whatever_happens(tmp_path: Path) -> None:
    reporter = RecordingSink()
    trainer = DQNTrainer(make_function(), METADATA, tmp_path / "run", resume="latest", reporter=reporter, **INLINE)
    with pytest.raises(Exception, match="no checkpoint"):
        trainer.train()
    assert reporter.closed


class Methods:
    """A reporter with a method for each kind of event."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.remarks: list[str] = []
        self.episodes: list[int] = []
        self.closed = False

    def begin(self, text: str) -> None:
        self.texts.append(text)

    def progress(self, progress: Progress) -> None:
        self.episodes.append(progress.episodes)

    def note(self, text: str) -> None:
        self.remarks.append(text)

    def close(self) -> None:
        self.closed = True


def test_a_reporter_may_have_a_method_for_each_kind_of_event(tmp_path: Path) -> None:
    reporter = Methods()
    DQNTrainer(make_function(), METADATA, tmp_path / "run", reporter=reporter, **INLINE).train()
    assert "Architecture" in reporter.texts[0]
    assert any("retro-gamer play" in remark for remark in reporter.remarks)
    assert reporter.episodes[-1] == 30
    assert reporter.closed


def test_a_function_of_a_file_is_kept_by_the_place_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "hidden.py").write_text(CORRIDOR)
    space = ModuleSpace([str(tmp_path)])
    trainer = DQNTrainer(space.load("hidden").create_game, METADATA, tmp_path / "run", **INLINE)
    space.unload()
    source = load_config(trainer.run_dir).require_source()
    assert source.path == str(tmp_path / "hidden.py")
    assert trainer.train().complete
