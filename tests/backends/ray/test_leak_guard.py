from __future__ import annotations

import os
from pathlib import Path

import pytest

from retro_gamer.backends.ray import actor_process
from retro_gamer.backends.ray.actor_process import MEGABYTE, LeakGuard, resident_bytes


def test_memory_kept_is_found_and_memory_given_back_is_not() -> None:
    watched = LeakGuard(40)
    assert watched.find_excess() is None
    kept = bytearray(os.urandom(80 * MEGABYTE))
    said = watched.find_excess()
    assert said is not None
    assert "actor_growth_megabytes = 40" in said
    assert 60 < float(said.split("grown by ")[1].split(" MB")[0]) < 120
    del kept
    assert watched.find_excess() is None


def test_where_only_the_peak_is_known_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = resident_bytes()
    monkeypatch.setattr(actor_process, "_STATM", Path("/nowhere/statm"))
    assert 0.5 * now < resident_bytes() < 20 * now
