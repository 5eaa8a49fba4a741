from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from retro.agent import ArrowKeyAgent
from retro.examples import nav
from retro.game import Game

from retro_gamer.driver.creation import create_run, create_run_for, source_of_factory
from retro_gamer.errors import (
    ConfigurationError,
    DescriptionNotFoundError,
    GameFailedError,
    GameNotFoundError,
    RunExistsError,
)
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.files import RunLock

GAME = """\
from retro.game import Game
from retro.agent import ArrowKeyAgent

def create_game():
    return Game([ArrowKeyAgent()], {"score": 0, "name": "x", "lives": 3}, board_size=(7, 5))

build = create_game
"""
DESCRIPTION = '[tool.retro-gamer]\nactions = ["KEY_RIGHT"]\nreward = "score"\n'
MakeProject = Callable[..., Path]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    def make(description: str | None = DESCRIPTION, game: str = GAME, name: str = "project") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "game.py").write_text(game)
        if description is not None:
            (folder / "pyproject.toml").write_text(description)
        return folder

    return make


def create_here() -> Game:
    return Game([ArrowKeyAgent()], {"score": 0}, board_size=(3, 2))


HERE = GameMetadata(actions=("KEY_RIGHT",), reward="score")


def test_snake_has_the_description_of_the_reference(tmp_path: Path) -> None:
    created = create_run("retro.examples.snake", tmp_path / "run", {"training_episodes": 5})

    assert created.builtin
    assert "built-in" in created.origin
    config = load_config(tmp_path / "run")
    assert config == created.config
    assert config.metadata == GameMetadata(
        actions=("KEY_RIGHT", "KEY_UP", "KEY_LEFT", "KEY_DOWN"),
        reward="score",
        character_set=("@", "*", ">", "<", "^", "v"),
        board_size=(32, 16),
    )
    assert config.hyperparameters.training_episodes == 5
    assert config.hyperparameters.batch_size == 64


def test_the_description_of_a_project_is_used_and_named(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project()

    created = create_run(str(project / "game.py"), tmp_path / "run", {})

    assert not created.builtin
    assert str(project / "pyproject.toml") in created.origin
    assert created.config.metadata.board_size == (7, 5)
    assert created.config.metadata.character_set is None


def test_all_problems_are_told_together(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project(
        '[tool.retro-gamer]\nactions = ["right"]\nreward = "scroe"\nobserve_state = ["name", "lives", "speed"]\n'
        "spatail = true\n"
    )

    with pytest.raises(ConfigurationError) as error:
        create_run(str(project), tmp_path / "run", {"gamma": 1.5, "batch_size": 0})

    assert [p.field for p in error.value.problems] == [
        *("spatail", "actions", "reward", "observe_state", "observe_state", "gamma", "batch_size")
    ]
    assert "pyproject.toml and the hyperparameters" in error.value.where
    assert not (tmp_path / "run").exists()


def test_a_field_wrong_by_itself_is_not_held_against_the_game(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project('[tool.retro-gamer]\nactions = ["KEY_RIGHT"]\nreward = 5\nplayer = "nobody"\n')

    with pytest.raises(ConfigurationError) as error:
        create_run(str(project), tmp_path / "run", {})

    assert [p.field for p in error.value.problems] == ["reward", "player"]


def test_problems_known_before_the_game_fails_come_first(make_project: MakeProject, tmp_path: Path) -> None:
    broken = "1 / 0\n"
    with pytest.raises(GameFailedError, match=r"game\.py:1: ZeroDivisionError"):
        create_run(str(make_project(game=broken, name="a")), tmp_path / "run", {})
    with pytest.raises(ConfigurationError, match="gamma"):
        create_run(str(make_project(game=broken, name="b")), tmp_path / "run", {"gamma": 7})


def test_games_that_are_not_there_or_not_described(make_project: MakeProject, tmp_path: Path) -> None:
    with pytest.raises(GameNotFoundError, match=r"retro\.examples\.snake"):
        create_run("retro.examples.snak", tmp_path / "run", {})
    with pytest.raises(DescriptionNotFoundError, match=r"tool\.retro-gamer"):
        create_run(str(make_project(None)), tmp_path / "run", {})


def test_the_factory_of_the_description_builds_the_game(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project(DESCRIPTION + 'factory = "game:build"\n', GAME.replace("create_game", "make"))

    created = create_run(str(project / "game.py"), tmp_path / "run", {})

    assert created.config.source is not None
    assert created.config.source.factory == "game:build"
    assert load_config(tmp_path / "run").source == created.config.source
    assert (tmp_path / "run" / "config.toml").read_text().count("factory = ") == 1


def test_project_and_run_move_together(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project(name="old")
    create_run(str(project), project / "runs" / "first", {})
    shutil.move(project, tmp_path / "new")

    config = load_config(tmp_path / "new" / "runs" / "first")

    assert load_factory(config.require_source())().board_size == (7, 5)
    assert config.require_source().path == str(tmp_path / "new")


def test_a_run_is_replaced_only_by_force_and_then_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "run"
    create_run("retro.examples.snake", path, {"gamma": 0.5})
    RunDirectory(path).write_checkpoint("ep_0100", b"precious")
    (path / "training.log").write_text("[EP 0001] ...\n")

    with pytest.raises(RunExistsError, match="--force"):
        create_run("retro.examples.snake", path, {})
    assert load_config(path).hyperparameters.gamma == 0.5

    create_run("retro.examples.snake", path, {}, force=True)
    assert load_config(path).hyperparameters.gamma == 0.99
    assert not RunDirectory(path).has_checkpoints
    assert (path / "checkpoints" / "abandoned-1" / "ep_0100.pt").read_bytes() == b"precious"
    assert (path / "training.log.1").read_text() == "[EP 0001] ...\n"


def test_force_does_not_take_a_run_from_its_trainer(tmp_path: Path) -> None:
    path = tmp_path / "run"
    create_run("retro.examples.snake", path, {"gamma": 0.5})

    with RunLock(path), pytest.raises(RunExistsError, match=str(os.getpid())):
        create_run("retro.examples.snake", path, {}, force=True)
    assert load_config(path).hyperparameters.gamma == 0.5


def test_a_function_with_its_metadata_makes_a_run(tmp_path: Path) -> None:
    created = create_run_for(create_here, HERE, tmp_path / "run", {"gamma": 0.5})

    config = load_config(tmp_path / "run")
    assert config == created.config
    assert config.metadata.board_size == (3, 2)
    assert config.source is not None
    assert config.source.path == os.path.abspath(__file__)
    assert config.source.factory == f"{config.source.module}:create_here"


def test_metadata_that_does_not_fit_the_function_is_refused(tmp_path: Path) -> None:
    metadata = GameMetadata(actions=("KEY_RIGHT",), reward="points")

    with pytest.raises(ConfigurationError) as error:
        create_run_for(create_here, metadata, tmp_path / "run", {"gamma": 5})
    assert [p.field for p in error.value.problems] == ["reward", "gamma"]


def test_an_installed_function_is_named_by_its_module() -> None:
    source = source_of_factory(nav.create_game)

    assert source is not None
    assert (source.module, source.path, source.factory) == ("retro.examples.nav", None, None)


def test_a_function_on_the_import_path_is_named_by_its_file(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = make_project(name="importable")
    (folder / "game.py").rename(folder / "some_game_on_the_path.py")
    monkeypatch.syspath_prepend(folder)
    module = importlib.import_module("some_game_on_the_path")
    monkeypatch.delitem(sys.modules, "some_game_on_the_path")
    monkeypatch.setitem(sys.modules, "some_game_on_the_path", module)

    source = source_of_factory(module.create_game)

    assert source is not None
    assert (source.path, source.factory) == (str(folder / "some_game_on_the_path.py"), None)
    assert load_factory(source)().board_size == (7, 5)


def test_a_function_that_nobody_else_can_import_has_no_source(tmp_path: Path) -> None:
    def inner() -> Game:
        return create_here()

    assert source_of_factory(inner) is None
    assert source_of_factory(lambda: create_here()) is None
    created = create_run_for(inner, HERE, tmp_path / "run", {})
    assert created.config.source is None
    with pytest.raises(GameNotFoundError, match="cannot be imported"):
        load_config(tmp_path / "run").require_source()


def _source_in(script: list[str], folder: Path) -> str:
    return subprocess.run([sys.executable, *script], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_function_of_the_script_itself_is_named_by_its_file(make_project: MakeProject) -> None:
    say = "from retro_gamer.driver.creation import source_of_factory\nprint(source_of_factory(create_game))\n"
    folder = make_project(game=GAME + say)

    assert f"path='{folder}/game.py'" in _source_in(["game.py"], folder)
    assert _source_in(["-c", GAME + say], folder) == "None\n"
