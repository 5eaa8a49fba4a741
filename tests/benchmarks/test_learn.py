from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import bench, learn
from benchmarks.learning.games import TASKS
from benchmarks.learning.parts import PARTS, Budget, Part
from benchmarks.learning.trainings import keep_latest, make_fresh_run
from benchmarks.performance.parts import QUICK
from benchmarks.performance.parts import Part as Measurement
from benchmarks.records import load_record, load_records, save_record
from retro_gamer.run.config import load_config
from tests.benchmarks.examples import QUIET, make_record


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(learn, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(learn, "RUNS", tmp_path / "runs")
    for module in (learn, bench):
        monkeypatch.setattr(module, "measure_quiet", lambda: QUIET)
    return tmp_path / "results"


def make_part(name: str, run: Any, *, is_parallel: bool = False) -> Part:
    return Part(name=name, minutes=lambda budget: 1.0, run=run, is_parallel=is_parallel)


def test_a_part_that_is_done_is_left_out_and_one_that_failed_is_run_again(folder: Path) -> None:
    ran: list[str] = []

    def run(budget: Budget, runs: Path) -> dict[str, Any]:
        ran.append(runs.name)
        if len(ran) == 1:
            raise RuntimeError("the machine sleeps")
        return {"score": 1}

    parts = [make_part("kind/a", run), make_part("kind/b", run, is_parallel=True)]
    learn.run_parts(parts, Budget(), jobs=2)
    assert ran == ["kind--a", "kind--b"]
    failed = load_record(folder, "kind/a")
    assert failed is not None
    assert failed.error is not None
    assert failed.error.startswith("RuntimeError: the machine sleeps")
    learn.run_parts(parts, Budget(), jobs=2)
    assert ran == ["kind--a", "kind--b", "kind--a"]
    assert {name: record.values for name, record in load_records(folder).items()} == {
        "kind/a": {"score": 1},
        "kind/b": {"score": 1},
    }


def test_a_quick_look_does_not_stand_in_for_the_whole(folder: Path) -> None:
    part = make_part("kind/a", lambda budget, runs: {})
    quick = Budget(minutes=0.1, games=2)
    assert quick.is_quick
    assert not Budget().is_quick
    assert not Budget(minutes=10).is_quick
    for less in ({"updates": 100}, {"peer_minutes": 2}, {"games": 99}, {"minutes": 4.9}, {"episodes": 5}):
        assert Budget(**less).is_quick
    save_record(folder, make_record("kind/a", {}, quick=True))
    assert learn.is_done(part, quick)
    assert not learn.is_done(part, Budget())


def test_marks_end_with_the_budget() -> None:
    assert Budget().marks == (5.0, 10.0, 20.0)
    assert Budget(minutes=10).marks == (5.0, 10.0)
    assert Budget(minutes=0.5).marks == (0.5,)


def test_parts_are_chosen_by_how_their_name_begins_or_by_a_pattern() -> None:
    assert [part.name for part in learn.choose_parts("reach/nav-score")] == [f"reach/nav-score/{s}" for s in (0, 1, 2)]
    assert [part.name for part in learn.choose_parts("*/nav-score/0")] == ["reach/nav-score/0"]
    assert len(learn.choose_parts(None)) == len(PARTS)
    with pytest.raises(SystemExit, match="no part is called nonsense"):
        learn.choose_parts("nonsense")
    with pytest.raises(SystemExit, match="no part is called nonsense; there are train-snake"):
        bench.choose_parts("nonsense")


def test_a_measurement_that_fails_leaves_its_reason(folder: Path) -> None:
    def run(pace: Any) -> dict[str, Any]:
        raise OSError("no room")

    record = bench.run_part(Measurement(name="part", title="a part", seconds=1, run=run), QUICK)
    assert (record.values, record.error, record.quick) == ({}, "OSError: no room", True)
    assert record.machine["gflops"] > 0


def test_the_newest_checkpoint_is_kept_where_nothing_prunes_it(tmp_path: Path) -> None:
    assert keep_latest(tmp_path, 5.0) is None
    (tmp_path / "checkpoints").mkdir()
    for episode in (100, 1000, 250):
        (tmp_path / "checkpoints" / f"ep_{episode:04d}.pt").write_text(str(episode))
    assert keep_latest(tmp_path, 5.0) == "kept/minute_5"
    assert (tmp_path / "checkpoints" / "kept" / "minute_5.pt").read_text() == "1000"


def test_a_fresh_run_rewards_what_the_task_says_and_replaces_what_was_left(tmp_path: Path) -> None:
    (tmp_path / "a" / "run").mkdir(parents=True)
    (tmp_path / "a" / "run" / "config.toml").write_text("left over")
    run_dir = make_fresh_run(tmp_path / "a", TASKS["snake-reward"], {"seed": 3})
    config = load_config(run_dir)
    assert (config.metadata.reward, config.hyperparameters.seed) == ("reward", 3)
