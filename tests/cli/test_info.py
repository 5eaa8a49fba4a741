from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from retro_gamer.cli import run
from retro_gamer.hyperparameters import SETTINGS
from retro_gamer.run.log import EpisodeLine, TrainingLog, format_episode
from tests.trained_runs import make_run, save

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return make_run(tmp_path, training_episodes=200, gamma=0.9)


def _line(episode: int) -> EpisodeLine:
    loss = float("nan") if episode == 1 else 0.00001
    return EpisodeLine(episode=episode, total_reward=float(episode), steps=10, epsilon=0.5, avg_loss=loss)


def _write_log(run_dir: Path, n_episodes: int) -> None:
    with contextlib.closing(TrainingLog(run_dir / "training.log")) as log:
        log.write_header("architecture")
        for episode in range(1, n_episodes + 1):
            log.write_episode(_line(episode))


def _json(run_dir: Path, capsys: Captured, *options: str) -> dict[str, Any]:
    assert run(["info", str(run_dir), "--json", *options]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_a_new_run_has_all_its_settings_and_no_history(run_dir: Path, capsys: Captured) -> None:
    report = _json(run_dir, capsys)

    assert report["metadata"]["actions"] == ["KEY_RIGHT", "KEY_LEFT"]
    assert report["metadata"]["board_size"] == [10, 4]
    assert set(report["hyperparameters"]) == set(SETTINGS)
    assert report["hyperparameters"]["gamma"] == 0.9
    assert sorted(report["changed"]) == ["crop_radius", "gamma", "layer_size", "n_layers", "training_episodes"]
    assert report["training"]["status"] == "not started"
    assert report["training"]["mean_reward_recent"] is None
    assert (report["episodes"], report["checkpoints"]) == ([], [])
    assert report["game"]["path"] == str(run_dir.parent / "project" / "game.py")


def test_what_was_trained_is_reported(run_dir: Path, capsys: Captured) -> None:
    _write_log(run_dir, 150)
    save(run_dir, "ep_0100")

    report = _json(run_dir, capsys, "--episodes", "3")

    assert report["training"] == {
        "status": "unfinished",
        "episodes": 150,
        "training_episodes": 200,
        "turns": 1500,
        "mean_reward_recent": pytest.approx(sum(range(51, 151)) / 100),
        "recent_episodes": 100,
        "best_reward": 150.0,
        "epsilon": 0.5,
    }
    assert [episode["episode"] for episode in report["episodes"]] == [148, 149, 150]
    (checkpoint,) = report["checkpoints"]
    path = run_dir / "checkpoints" / "ep_0100.pt"
    assert (checkpoint["name"], checkpoint["episode"]) == ("ep_0100", 100)
    assert checkpoint["size_bytes"] == path.stat().st_size
    assert checkpoint["modified"].startswith("20")


def test_json_has_null_where_there_is_no_number(run_dir: Path, capsys: Captured) -> None:
    _write_log(run_dir, 2)

    assert [episode["avg_loss"] for episode in _json(run_dir, capsys)["episodes"]] == [None, 0.00001]
    assert _json(run_dir, capsys, "--episodes", "0")["episodes"] == []


def test_final_means_finished(run_dir: Path, capsys: Captured) -> None:
    _write_log(run_dir, 200)
    save(run_dir, "ep_0100", "final")

    report = _json(run_dir, capsys)

    assert report["training"]["status"] == "finished"
    assert [file["name"] for file in report["checkpoints"]] == ["ep_0100", "final"]
    assert report["checkpoints"][1]["episode"] is None


def test_a_run_stopped_by_its_time_limit_is_described_as_such(run_dir: Path, capsys: Captured) -> None:
    _write_log(run_dir, 30)
    save(run_dir, "final")
    assert run(["info", str(run_dir)]) == 0
    assert "Stopped at the time limit: 30 of 200 episodes" in capsys.readouterr().out


def test_the_text_marks_what_is_off_its_default(run_dir: Path, capsys: Captured) -> None:
    assert run(["info", str(run_dir)]) == 0
    lines = capsys.readouterr().out.splitlines()

    marked = [line.split()[1] for line in lines if line.startswith("  * ")]
    assert sorted(marked) == ["crop_radius", "gamma", "layer_size", "n_layers", "training_episodes"]
    assert any("gamma" in line and "0.9 (default 0.99)" in line for line in lines)
    assert any(line.split() == ["batch_size", "64"] for line in lines)
    assert f"Train:    retro-gamer train {run_dir}" in lines


def test_the_text_shows_episodes_as_the_log_does_and_checkpoints(run_dir: Path, capsys: Captured) -> None:
    _write_log(run_dir, 30)
    save(run_dir, "ep_0010", "ep_0020")

    assert run(["info", str(run_dir)]) == 0

    shown = capsys.readouterr().out
    assert [line.strip() for line in shown.splitlines() if "[EP " in line] == [
        format_episode(_line(episode)) for episode in range(21, 31)
    ]
    assert "Unfinished: 30 of 200 episodes" in shown
    assert "Mean reward of the last 30 episodes: 15.5" in shown
    checkpoint_lines = [line.split() for line in shown.splitlines() if ".pt" in line]
    assert [words[0] for words in checkpoint_lines] == ["ep_0010.pt", "ep_0020.pt"]
    assert all(words[-1] in ("kB", "MB") for words in checkpoint_lines)
    assert f"Continue: retro-gamer train {run_dir} --resume latest" in shown
    assert f"Watch:    retro-gamer play {run_dir}" in shown


def test_what_lies_in_files_cannot_reach_the_terminal_raw(run_dir: Path, capsys: Captured) -> None:
    config = run_dir / "config.toml"
    config.write_text(config.read_text().replace('reward = "score"', r'reward = "\u001b[31mscore"'))

    assert run(["info", str(run_dir)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_all_problems_of_a_configuration_are_reported(run_dir: Path, capsys: Captured) -> None:
    config = run_dir / "config.toml"
    config.write_text(config.read_text().replace("gamma = 0.9", "gama = 0.9").replace("n_step = 1", "n_step = 0"))

    assert run(["info", str(run_dir)]) == 2
    shown = capsys.readouterr().err
    assert "2 problems" in shown
    assert "did you mean gamma" in shown
