from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from retro_gamer.cli import run
from retro_gamer.run.events import Starting, TrainingOutcome
from retro_gamer.run.log import TrainingLog
from tests.trained_runs import make_run, make_trained_run

Captured = pytest.CaptureFixture[str]
OUTCOME: dict[str, Any] = {
    "episodes": 200,
    "training_episodes": 200,
    "turns": 12_345,
    "updates": 3_000,
    "seconds": 65.0,
    "complete": True,
    "signal_number": None,
    "checkpoint": "final",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command asked of training, which is not done; `outcome` is how it is to end."""
    asked: dict[str, Any] = {"outcome": {}}

    def train(run_dir: Path, *, display: Any, **options: Any) -> TrainingOutcome:
        asked.update(options, run_dir=run_dir, display=display)
        display.handle(Starting("Architecture"))
        return TrainingOutcome(**{**OUTCOME, **asked["outcome"]})

    monkeypatch.setattr("retro_gamer.driver.training_run.train", train)
    return asked


def test_options_reach_training(asked: dict[str, Any]) -> None:
    assert run(["train", "runs/a", "--resume", "ep_0100", "--actors", "3", "--minutes", "1.5"]) == 0
    assert (asked["run_dir"], asked["resume"], asked["n_actors"], asked["minutes"]) == (
        Path("runs/a"), "ep_0100", 3, 1.5,
    )  # fmt: skip

    assert run(["train", "runs/a"]) == 0
    assert (asked["resume"], asked["n_actors"], asked["minutes"]) == (None, None, None)


@pytest.mark.parametrize("option", ["--gpus", "--learner-cpus"])
def test_parts_of_a_cluster_cannot_be_reserved_without_one(
    option: str, asked: dict[str, Any], capsys: Captured
) -> None:
    assert run(["train", "runs/a", option, "1"]) == 2
    assert "ray start --head" in capsys.readouterr().err
    assert "run_dir" not in asked
    assert run(["train", "runs/a", option, "1", "--address", "auto"]) == 0
    assert asked["cluster"].address == "auto"
    assert {"--gpus": asked["cluster"].gpus, "--learner-cpus": asked["cluster"].learner_cpus}[option] == 1


def test_a_finished_training_names_the_next_commands(asked: dict[str, Any], capsys: Captured) -> None:
    assert run(["train", "my run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Architecture",
        "Trained 200 of 200 episodes, 12,345 turns, 3,000 updates in 1:05.",
        "Watch:    retro-gamer play 'my run'",
        "Review:   retro-gamer info 'my run'",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal_the_command_to_continue_is_shown(
    number: signal.Signals, asked: dict[str, Any], capsys: Captured
) -> None:
    asked["outcome"] = {"episodes": 57, "complete": False, "signal_number": int(number), "checkpoint": "ep_0057"}

    assert run(["train", "runs/a"]) == 128 + number

    shown = capsys.readouterr().out
    assert f"Stopped by {number.name}: 57 of 200 episodes" in shown
    assert "retro-gamer train runs/a --resume ep_0057" in shown


def test_after_the_time_limit_the_command_to_continue_is_shown(asked: dict[str, Any], capsys: Captured) -> None:
    asked["outcome"] = {"episodes": 57}
    assert run(["train", "runs/a", "--minutes", "1"]) == 0
    shown = capsys.readouterr().out
    assert "Stopped at the time limit: 57 of 200 episodes" in shown
    assert "retro-gamer train runs/a --resume final" in shown


def test_the_display_makes_room_when_training_fails(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    closed = []

    def fail(run_dir: Path, *, display: Any, **_: Any) -> None:
        monkeypatch.setattr(display, "close", lambda: closed.append(True))
        raise KeyboardInterrupt

    monkeypatch.setattr("retro_gamer.driver.training_run.train", fail)
    assert run(["train", "runs/a"]) == 130
    assert closed == [True]


def test_a_run_is_trained_and_not_trained_over(tmp_path: Path, capsys: Captured) -> None:
    run_dir = make_run(tmp_path, training_episodes=3, learning_starts=5, batch_size=4)

    assert run(["train", str(run_dir), "--actors", "0"]) == 0
    shown = capsys.readouterr().out
    assert "Trained 3 of 3 episodes" in shown
    assert [line.episode for line in TrainingLog(run_dir / "training.log").read_episodes()] == [1, 2, 3]
    assert (run_dir / "checkpoints" / "final.pt").is_file()

    assert run(["train", str(run_dir), "--actors", "0"]) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_missing_run_is_wrong_usage(tmp_path: Path, capsys: Captured) -> None:
    assert run(["train", str(tmp_path / "nowhere"), "--actors", "0"]) == 2
    assert "retro-gamer create" in capsys.readouterr().err


def test_a_missing_checkpoint_names_those_there(tmp_path: Path, capsys: Captured) -> None:
    run_dir = make_trained_run(tmp_path, ["ep_0100"])
    assert run(["train", str(run_dir), "--actors", "0", "--resume", "ep_0200"]) == 2
    assert "ep_0100" in capsys.readouterr().err


def test_a_game_that_crashes_in_this_process_leaves_its_line(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    game = "import ctypes\n\n\ndef create_game():\n    ctypes.string_at(0)\n"
    (tmp_path / "project" / "game.py").write_text(game)
    done = subprocess.run(
        [sys.executable, "-m", "retro_gamer", "train", str(run_dir), "--actors", "0"], capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in done.stderr
    assert 'game.py", line 5 in create_game' in done.stderr
    assert not (run_dir / "training.log").exists()


def test_training_continues_when_nobody_reads_its_output(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, training_episodes=30, learning_starts=5, batch_size=4)
    process = subprocess.Popen(
        [sys.executable, "-m", "retro_gamer", "train", str(run_dir), "--actors", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        said = process.stderr.read()
    assert (process.wait(60), said) == (0, "")
    assert (run_dir / "checkpoints" / "final.pt").is_file()


def test_ctrl_c_keeps_what_was_learned(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, training_episodes=1_000_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "retro_gamer", "train", str(run_dir), "--actors", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        assert process.stdout is not None
        seen = ""
        while "episode " not in seen:
            line = process.stdout.readline()
            assert line, f"training ended early:\n{seen}"
            seen += line
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(60) == 130, rest
    assert "Continue: retro-gamer train" in rest
    (checkpoint,) = (run_dir / "checkpoints").glob("ep_*.pt")
    assert f"--resume {checkpoint.stem}" in rest
