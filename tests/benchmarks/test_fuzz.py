"""Every kind of file that a stranger may hand over, damaged: each ends in one of the allowed ways."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from benchmarks.fuzz import (
    ALLOWED,
    LOADS,
    PASSED_OVER,
    REFUSED,
    SAME,
    Target,
    main,
    make_targets,
    mutate,
    replace_fields,
    run_target,
    try_target,
)

TARGETS = (
    "checkpoint", "checkpoint without a digest", "snapshot", "snapshot by a stranger", "status.json", ".job.json",
    "config.toml", "description", "training.log",
)  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_and_hostile_files_end_in_an_allowed_way(name: str, tmp_path: Path) -> None:
    target = make_targets(tmp_path)[name]
    counts, failures = run_target(target, 500 if target.has_digest else 300, seed=19)
    assert failures == []
    assert counts.keys() <= set(ALLOWED)
    assert counts.total() >= 300
    if target.has_digest:
        assert counts[LOADS] == 0
        assert counts[REFUSED] > 450


def test_every_target_is_tested(tmp_path: Path) -> None:
    assert tuple(make_targets(tmp_path)) == TARGETS


def load_text(data: bytes) -> str | None:
    if data == b"crash":
        raise RuntimeError("odd")
    if data in (b"bad", b"red"):
        raise ValueError("\x1b[31m" if data == b"red" else "it is bad")
    return None if data == b"over" else data.decode().strip()


def test_a_failure_differs_from_an_allowed_outcome() -> None:
    strict = Target(
        whole=b"same", load=load_text, variants=lambda: iter([b"crash"]), refusals=(ValueError,), has_digest=True
    )
    outcomes = {data: try_target(strict, data) for data in (b"same ", b"bad", b"over", b"other", b"crash", b"red")}
    assert [outcomes[data] for data in (b"same ", b"bad", b"over")] == [SAME, REFUSED, PASSED_OVER]
    assert outcomes[b"other"] == "loads as something else"
    assert outcomes[b"crash"] == "RuntimeError: odd"
    assert "unfit for a terminal" in outcomes[b"red"]
    counts, failures = run_target(strict, 0, seed=1)
    assert (counts["failure"], len(failures)) == (1, 1)


def test_mutations_repeat_for_a_seed_and_differ() -> None:
    data = bytes(range(256)) * 40
    first, again = ([mutate(data, rng) for _ in range(50)] for rng in (random.Random(3), random.Random(3)))
    assert first == again
    assert len(set(first)) > 45


def test_each_field_is_replaced_and_removed() -> None:
    changed = list(replace_fields({"a": 1, "b": {"c": 2}}, ("bad",)))
    assert {"b": {"c": 2}} in changed
    assert {"a": "bad", "b": {"c": 2}} in changed
    assert {"a": 1, "b": {"c": "bad"}} in changed


def test_the_longer_run_prints_the_outcomes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(whole=b"same", load=io.BytesIO, variants=lambda: iter(()))
    monkeypatch.setattr("benchmarks.fuzz.make_targets", lambda folder: {"text": target})
    assert main(["--mutations", "3"]) == 0
    assert capsys.readouterr().out == f"{'text':<28} {LOADS}: 3\n"
