from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from retro_gamer.cli import run
from retro_gamer.cli.commands.evaluate import format_evaluations
from retro_gamer.evaluation import pool
from retro_gamer.evaluation.statistics import Evaluation
from retro_gamer.run.directory import RunDirectory
from tests.trained_runs import make_run, make_trained_run

EVALUATION = Evaluation(
    episodes=20,
    mean=1480.5,
    interval=123.456,
    median=0.5,
    best=3000.0,
    worst=0.0,
    mean_turns=812.25,
    state_means={"energy": 12.34},
    faults=0,
    first_fault=None,
)


class StandInPool:
    """Replaces the processes that play."""

    def __init__(self, **changes: Any) -> None:
        self.evaluation = Evaluation(**{**vars(EVALUATION), **changes})
        self.calls: list[dict[str, Any]] = []
        self.torn: list[str] = []

    def __call__(self, run_dir: str, checkpoints: list[str], **given: Any) -> dict[str | None, Evaluation]:
        self.calls.append({"run_dir": run_dir, "checkpoints": checkpoints, **given})
        given["on_played"](3)
        for name in self.torn:
            given["on_skipped"](f"{name} is torn")
        return dict.fromkeys((None, *checkpoints), self.evaluation)


@pytest.fixture
def evaluator(monkeypatch: pytest.MonkeyPatch) -> StandInPool:
    evaluator = StandInPool()
    monkeypatch.setattr(pool, "evaluate_checkpoints", evaluator)
    return evaluator


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return make_trained_run(tmp_path, names=("ep_0100", "ep_0200", "final"), max_turns_per_episode=77)


@pytest.mark.parametrize(
    ("typed", "checkpoints"),
    [
        ([], ["final"]),
        (["--checkpoint", "ep_0100"], ["ep_0100"]),
        (["--checkpoint", "latest"], ["final"]),
        (["--checkpoint", "abandoned-1/ep_0300.pt"], ["abandoned-1/ep_0300"]),
        (["--all-checkpoints"], ["ep_0100", "ep_0200", "final"]),
    ],
)
def test_the_checkpoint_asked_for_is_evaluated(
    typed: list[str], checkpoints: list[str], run_dir: Path, evaluator: StandInPool
) -> None:
    aside = run_dir / "checkpoints" / "abandoned-1"
    aside.mkdir()
    (aside / "ep_0300.pt").write_bytes(b"")

    assert run(["evaluate", str(run_dir), *typed]) == 0

    (call,) = evaluator.calls
    assert call["checkpoints"] == checkpoints
    assert (call["run_dir"], call["episodes"], call["seed"], call["max_turns"]) == (str(run_dir), 100, 1, 77)


def test_the_table_shows_the_players_one_below_the_other(
    run_dir: Path, evaluator: StandInPool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(run_dir), "--episodes", "20", "--seed", "5"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        'Change of "score" in 20 games per player, seed 5:',
        "",
        "  player            mean    95% +-    median      best     turns",
        "  random         1,480.5     123.5    0.5000   3,000.0     812.2",
        "  final          1,480.5     123.5    0.5000   3,000.0     812.2",
        "",
        "Mean of the other state values at the end of a game:",
        "",
        "  player          energy",
        "  random            12.3",
        "  final             12.3",
    ]


def test_programs_get_json_and_nothing_else(
    run_dir: Path, evaluator: StandInPool, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluator.evaluation = Evaluation(**{**vars(EVALUATION), "interval": math.nan})
    (run_dir / "checkpoints" / "final.pt").unlink()

    assert run(["evaluate", str(run_dir), "--json"]) == 0

    output = capsys.readouterr()
    told = json.loads(output.out)
    assert (told["reward"], told["seed"]) == ("score", 1)
    assert list(told["players"]) == ["random", "ep_0200"]
    assert told["players"]["random"] == {**vars(EVALUATION), "interval": None}
    assert "the latest checkpoint, ep_0200" in output.err


def test_a_skipped_checkpoint_is_reported(
    run_dir: Path, evaluator: StandInPool, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluator.torn = ["ep_0200"]
    assert run(["evaluate", str(run_dir), "--all-checkpoints", "--json"]) == 0
    output = capsys.readouterr()
    json.loads(output.out)
    assert "Note: skipped a checkpoint: ep_0200 is torn" in output.err


def test_a_checkpoint_that_was_moved_aside_needs_no_other_beside_it(run_dir: Path, evaluator: StandInPool) -> None:
    checkpoints = run_dir / "checkpoints"
    (checkpoints / "abandoned-1").mkdir()
    (checkpoints / "final.pt").rename(checkpoints / "abandoned-1" / "final.pt")
    for name in ("ep_0100", "ep_0200"):
        (checkpoints / f"{name}.pt").unlink()
    assert run(["evaluate", str(run_dir), "--checkpoint", "abandoned-1/final"]) == 0
    assert evaluator.calls[0]["checkpoints"] == ["abandoned-1/final"]


def test_failed_games_are_reported_with_an_example() -> None:
    broken = Evaluation(**{**vars(EVALUATION), "faults": 2, "first_fault": "game.py:3: boom"})
    lines = list(format_evaluations({"random": EVALUATION, "final": broken}))
    assert lines[-2:] == [
        "final: 2 games failed with an error in the game's code, for example:",
        "  game.py:3: boom",
    ]
    assert sum("boom" in line for line in lines) == 1


def test_numbers_a_player_never_met_are_a_dash() -> None:
    lines = list(
        format_evaluations({"random": EVALUATION, "final": Evaluation(**{**vars(EVALUATION), "state_means": {}})})
    )
    assert lines[-1].split() == ["final", "-"]


@pytest.mark.parametrize(
    "typed",
    [
        ["--episodes", "0"],
        ["--seed", "-1"],
        ["--checkpoint", "nothing"],
        ["--checkpoint", "../config.toml"],
        ["--checkpoint", "final", "--all-checkpoints"],
    ],
)
def test_wrong_usage_plays_nothing(
    typed: list[str], run_dir: Path, evaluator: StandInPool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(run_dir), *typed]) == 2
    assert "Traceback" not in capfd.readouterr().err
    assert evaluator.calls == []


def test_for_a_run_without_checkpoints_the_command_to_train_is_shown(
    tmp_path: Path, evaluator: StandInPool, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = make_run(tmp_path)
    assert run(["evaluate", str(run_dir)]) == 2
    assert f"retro-gamer train {run_dir}" in capsys.readouterr().err
    assert not RunDirectory(run_dir).has_checkpoints
