from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from retro_gamer.errors import ConfigurationError, GameFailedError, GameNotFoundError
from retro_gamer.run.config import load_config, update_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.training.preparation import MOST_TURNS_TO_FIND_THE_PLAYER, PreparedRun, prepare_run, write_findings
from tests.training.corridors import CORRIDOR, DESCRIPTION, make_corridor_run

UNDESCRIBED = DESCRIPTION.replace('character_set = ["@", ">"]\n', "")
TWO_HANDLERS = CORRIDOR.replace(
    "class Door:", "class Idle:\n    name = 'idle'\n    character = '.'\n    position = (3, 0)\n    z = -2\n\n"
    "    def handle_keystroke(self, keystroke, game):\n        pass\n\nclass Door:"
).replace("[Walker(), Door()]", "[Idle(), Walker(), Door()]")  # fmt: skip


def open_run(run: RunDirectory, **given: Any) -> PreparedRun:
    return prepare_run(run, load_config(run.path), **given)


def prepare_and_write(run: RunDirectory, **given: Any) -> PreparedRun:
    before = run.config_path.read_bytes()
    prepared = open_run(run, **given)
    assert run.config_path.read_bytes() == before
    write_findings(prepared)
    return prepared


def test_a_described_run_is_prepared_as_it_stands(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    before = run.config_path.read_text()
    prepared = prepare_and_write(run)
    assert prepared.run_spec.metadata.character_set == ("@", ">")
    assert prepared.run_spec.metadata.board_size == (7, 1)
    assert prepared.random_play.has_player
    assert prepared.random_play.turns == prepared.run_spec.settings.exploration_turns == 20
    assert prepared.run_spec.source is not None
    assert run.config_path.read_text() == before


def test_a_missing_character_set_is_discovered_and_written_down(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, description=UNDESCRIBED)
    assert prepare_and_write(run).run_spec.metadata.character_set == (">", "@")
    assert load_config(run.path).metadata.character_set == (">", "@")


def test_hyperparameters_left_out_are_written_down_with_their_defaults(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    lines = run.config_path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("lr_decay =", "n_step ="))]
    edited = "".join(kept).replace("gamma = 0.9\n", "gamma = 0.9  # far enough\n")
    run.config_path.write_text(edited)

    prepare_and_write(run)

    written = run.config_path.read_text()
    assert written.startswith(edited), "what the user wrote stays as it was"
    assert sorted(written.removeprefix(edited).split()) == sorted(["lr_decay", "=", "0.995", "n_step", "=", "1"])


def test_many_turns_are_played_only_where_characters_are_to_be_found(tmp_path: Path) -> None:
    many: dict[str, Any] = {"exploration_turns": MOST_TURNS_TO_FIND_THE_PLAYER + 50}
    described = make_corridor_run(tmp_path, run_name="described", **many)
    assert open_run(described).random_play.turns == MOST_TURNS_TO_FIND_THE_PLAYER
    undescribed = make_corridor_run(tmp_path, description=UNDESCRIBED, run_name="undescribed", **many)
    assert open_run(undescribed).random_play.turns == MOST_TURNS_TO_FIND_THE_PLAYER + 50
    assert open_run(undescribed, characters=("@",)).random_play.turns == MOST_TURNS_TO_FIND_THE_PLAYER


def test_a_game_that_shows_nothing_for_so_long_is_refused_with_what_to_set(tmp_path: Path) -> None:
    unseen = CORRIDOR.replace("class Walker:", "class Walker:\n    display = False\n")
    unseen = unseen.replace("class Door:", "class Door:\n    display = False\n")
    run = make_corridor_run(tmp_path, game=unseen, description=UNDESCRIBED)
    with pytest.raises(ConfigurationError, match=r"exploration_turns = 20\n.*stayed empty") as caught:
        open_run(run)
    assert "exploration_turns = 200" in str(caught.value)


def test_discovery_is_the_same_for_a_seed(tmp_path: Path) -> None:
    found = []
    for name in ("first", "second"):
        run = make_corridor_run(tmp_path, description=UNDESCRIBED, run_name=name, seed=9)
        found.append(open_run(run).random_play)
    assert found[0] == found[1]


def test_what_a_game_draws_while_its_modules_are_loaded_comes_of_the_seed(tmp_path: Path) -> None:
    drawing = CORRIDOR.replace("class Walker:", "import random\nSHAPE = random.randrange(33, 127)\n\nclass Walker:")
    drawing = drawing.replace('character = "@"', "character = chr(SHAPE)")
    found = set()
    for name in ("first", "second", "third"):
        run = make_corridor_run(tmp_path, game=drawing, description=UNDESCRIBED, run_name=name, seed=9)
        found.add(open_run(run).run_spec.metadata.character_set)
    assert len(found) == 1


def test_the_characters_of_a_checkpoint_come_before_those_discovered(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, description=UNDESCRIBED)
    assert prepare_and_write(run, characters=("@", "?")).run_spec.metadata.character_set == ("@", "?")
    assert load_config(run.path).metadata.character_set == ("@", "?")


def test_described_characters_come_before_those_of_a_checkpoint(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    assert open_run(run, characters=("@", "?")).run_spec.metadata.character_set == ("@", ">")


def test_of_several_agents_that_take_keys_the_one_they_move_is_written_down(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, game=TWO_HANDLERS, exploration_turns=60)
    assert prepare_and_write(run).run_spec.metadata.player == "walker"
    assert load_config(run.path).metadata.player == "walker"


def test_a_function_stands_in_for_the_source(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    namespace: dict[str, object] = {}
    exec(CORRIDOR.replace("board_size=(7, 1)", "board_size=(9, 1)"), namespace)
    prepared = open_run(run, factory=namespace["create_game"])
    assert prepared.run_spec.source is None
    assert prepared.run_spec.metadata.board_size == (9, 1)


def test_what_does_not_fit_the_game_is_refused_with_nothing_written(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    update_config(run.path, {("metadata", "reward"): "points"})
    before = run.config_path.read_text()
    with pytest.raises(ConfigurationError, match="points"):
        open_run(run)
    assert run.config_path.read_text() == before


def test_a_game_that_is_gone_or_broken_is_said_so(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    game = tmp_path / "project" / "game.py"
    game.write_text("import no_such_module_at_all\n")
    with pytest.raises(GameFailedError, match=r"game\.py:1"):
        open_run(run)
    game.write_text("from retro.game import Game\n\ncreate_game = 3\n")
    with pytest.raises(GameNotFoundError, match="create_game"):
        open_run(run)
    game.unlink()
    with pytest.raises(GameNotFoundError):
        open_run(run)
