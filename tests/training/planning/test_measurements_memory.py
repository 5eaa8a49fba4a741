from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from retro_gamer.training.planning import measurements
from retro_gamer.training.planning.measurements import warn_about_memory
from retro_gamer.training.planning.run_spec import RunSpec
from tests.training.planning.test_run_spec import make_run_spec


@pytest.fixture
def run_spec(tmp_path: Path) -> RunSpec:
    return make_run_spec(tmp_path)


def large(run_spec: RunSpec, width: int = 400, height: int = 200) -> RunSpec:
    return dataclasses.replace(run_spec, network=dataclasses.replace(run_spec.network, width=width, height=height))


def test_a_small_board_needs_no_word(run_spec: RunSpec) -> None:
    assert warn_about_memory(run_spec) == []


def test_the_memory_of_a_large_board_is_said_with_what_fits(run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "available_bytes", lambda: 2 * 10**9)
    (said,) = warn_about_memory(large(run_spec))
    # 10,000 transitions and the rows that blocks share, 80,000 bytes each.
    assert "1.2 GB" in said
    assert "400x200" in said
    assert "2.0 GB of free memory" in said
    advised = int(said.split("set memory_capacity = ")[1].rstrip("."))
    fitting = dataclasses.replace(
        large(run_spec), settings=dataclasses.replace(run_spec.settings, memory_capacity=advised)
    )
    assert fitting.make_replay(0).memory_bytes < 0.45 * 2e9


@pytest.mark.parametrize("free", [10**12, None])
def test_where_there_is_room_it_is_only_said(
    run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch, free: int | None
) -> None:
    monkeypatch.setattr(measurements, "available_bytes", lambda: free)
    (said,) = warn_about_memory(large(run_spec))
    assert "1.2 GB" in said
    assert "Try" not in said


def test_what_is_free_is_read_from_machine_and_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  8000 kB\nMemAvailable:   4000 kB\n")
    monkeypatch.setattr(measurements, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(measurements, "CGROUP_MEMORY", (tmp_path / "max", tmp_path / "current"))
    assert measurements.available_bytes() == 4000 * 1024
    for limit, used, free in (("max", "5", 4000 * 1024), ("3000000", "1000000", 2_000_000), ("5", "9", 0)):
        (tmp_path / "max").write_text(limit + "\n")
        (tmp_path / "current").write_text(used + "\n")
        assert measurements.available_bytes() == free
    monkeypatch.setattr(measurements, "MEMINFO", tmp_path / "nothing")
    assert measurements.available_bytes() is None
