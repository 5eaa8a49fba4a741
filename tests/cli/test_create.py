from __future__ import annotations

import os
from pathlib import Path

import pytest

from retro_gamer.cli import run
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory
from tests.trained_runs import DESCRIPTION, WALK, make_trained_run

SNAKE = ["create", "--game", "retro.examples.snake", "--output"]


def test_the_summary_describes_the_run_and_names_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run([*SNAKE, "runs/my snake", "--gamma", "0.9"]) == 0

    shown = capsys.readouterr().out
    assert "32 x 16 cells" in shown
    assert "KEY_RIGHT, KEY_UP, KEY_LEFT, KEY_DOWN, or none" in shown
    assert 'change of "score"' in shown
    assert "@ * > < ^ v" in shown
    assert "gamma = 0.9 (default 0.99)" in shown
    assert "built-in" in shown
    assert shown.endswith("    retro-gamer train 'runs/my snake'\n")
    assert load_config("runs/my snake").hyperparameters.gamma == 0.9


def test_a_description_of_ones_own_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "game.py").write_text(WALK)
    without_characters = "\n".join(line for line in DESCRIPTION.splitlines() if "character_set" not in line)
    (tmp_path / "pyproject.toml").write_text(without_characters)

    assert run(["create", "--game", str(tmp_path), "--output", str(tmp_path / "run")]) == 0

    shown = capsys.readouterr().out
    assert f"[tool.retro-gamer] of {tmp_path / 'pyproject.toml'}" in shown
    assert "built-in" not in shown
    assert "discovered in 200 random turns" in shown
    assert "state        lives" in shown


def test_all_problems_are_shown_as_they_were_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "game.py").write_text(WALK)
    (tmp_path / "pyproject.toml").write_text('[tool.retro-gamer]\nactions = ["right"]\nreward = "points"\n')
    wrong = ["--gamma", "1.5", "--layer-size", "0"]

    assert run(["create", "--game", str(tmp_path), "--output", str(tmp_path / "run"), *wrong]) == 2

    shown = capsys.readouterr().err
    assert shown.startswith("Error: 4 problems in ")
    assert "actions = 'right'" in shown
    assert "KEY_RIGHT" in shown
    assert "reward = 'points'" in shown
    assert "--gamma = 1.5" in shown
    assert "try: --layer-size 128" in shown
    assert not (tmp_path / "run").exists()


def test_a_contradiction_between_options_names_the_option_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*SNAKE, str(tmp_path / "run"), "--batch-size", "512", "--memory-capacity", "100"]) == 2
    assert "try: --memory-capacity 10000" in capsys.readouterr().err


def test_an_existing_run_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = make_trained_run(tmp_path)
    before = (run_dir / "config.toml").read_bytes()

    assert run([*SNAKE, str(run_dir)]) == 2
    assert "--force" in capsys.readouterr().err
    assert (run_dir / "config.toml").read_bytes() == before

    assert run([*SNAKE, str(run_dir), "--force"]) == 0
    assert load_config(run_dir).game == "retro.examples.snake"
    assert not RunDirectory(run_dir).has_checkpoints
    assert os.listdir(run_dir / "checkpoints" / "abandoned-1") == ["final.pt"]


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ("retro.examples.snek", "Did you mean retro.examples.snake?"),
        ("nowhere/game.py", "nowhere/game.py"),
        ("retro.agent", "has no description"),
        ("", "''"),
    ],
)
def test_games_that_are_none(game: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["create", "--game", game, "--output", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Error: ")
    assert message in shown


def test_for_a_module_without_a_game_the_error_names_the_function_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "game.py").write_text("from retro.game import Game\n\n\ndef main():\n    print('hello')\n")
    (tmp_path / "pyproject.toml").write_text(DESCRIPTION)

    assert run(["create", "--game", str(tmp_path / "game.py"), "--output", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err
    assert "has no function create_game()" in shown
    assert "factory" in shown


def test_a_program_that_imports_no_retro_is_refused_as_no_game(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "game.py").write_text("def main():\n    print('hello')\n")
    (tmp_path / "pyproject.toml").write_text(DESCRIPTION)

    assert run(["create", "--game", str(tmp_path / "game.py"), "--output", str(tmp_path / "run")]) == 2
    assert "is no retro-games game" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_game_that_fails_on_import_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "game.py").write_text("import math\nmath.nothing\n")
    (tmp_path / "pyproject.toml").write_text(DESCRIPTION)

    assert run(["create", "--game", str(tmp_path / "game.py"), "--output", str(tmp_path / "run")]) == 1
    assert "game.py:2: AttributeError" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")

    assert run([*SNAKE, str(tmp_path / "file" / "run")]) == 1
    assert capsys.readouterr().err.startswith("Error: Not a directory")
    assert run([*SNAKE, str(tmp_path / "file")]) == 2
