from __future__ import annotations

import os
from pathlib import Path

import pytest

from retro_gamer.training.planning import measurements


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put control group files into a folder of our own, with eight processors by affinity."""
    monkeypatch.setattr(measurements, "CGROUP_V2", tmp_path / "cpu.max")
    monkeypatch.setattr(measurements, "CGROUP_V1", (tmp_path / "quota", tmp_path / "period"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("250000 100000\n", 2),
        ("50000 100000\n", 1),
        ("9900000 100000\n", 8),
        ("400000 50000", 8),
    ],
)
def test_a_quota_of_version_2_limits_the_processors(cgroup: Path, text: str, expected: int) -> None:
    (cgroup / "cpu.max").write_text(text)
    assert measurements.count_cpus() == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1\n", 8), ("300000\n", 3), ("10000\n", 1)])
def test_a_quota_of_version_1_limits_the_processors(cgroup: Path, quota: str, expected: int) -> None:
    (cgroup / "quota").write_text(quota)
    (cgroup / "period").write_text("100000\n")
    assert measurements.count_cpus() == expected


def test_without_control_groups_affinity_counts(cgroup: Path) -> None:
    assert measurements.count_cpus() == 8
    (cgroup / "quota").write_text("100000")  # a quota without its period says nothing
    assert measurements.count_cpus() == 8


@pytest.mark.usefixtures("cgroup")
@pytest.mark.parametrize(("count", "expected"), [(6, 6), (None, 1)])
def test_where_there_is_no_affinity_all_processors_count(
    monkeypatch: pytest.MonkeyPatch, count: int | None, expected: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert measurements.count_cpus() == expected
