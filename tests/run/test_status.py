from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import pytest

from retro_gamer.errors import ClusterError
from retro_gamer.run.status import FileIndex, FileMark, RunStatus, is_prunable, is_run_file, matches, parse_status


def make_status(**changed: object) -> RunStatus:
    values = {
        "state": "running", "text": "Architecture", "notes": ("one", "two"), "first_note": 3,
        "progress": {"episodes": 4, "loss": math.nan, "left": math.inf}, "outcome": None, "error": None,
        "files": {"config.toml": FileMark(size_bytes=3, sha256="abc")},
    }  # fmt: skip
    return RunStatus(**{**values, **changed})  # type: ignore[arg-type]


def test_a_state_survives_the_way_there_and_back() -> None:
    there = make_status(job="retro-gamer-snake-0123")
    back = parse_status(there.to_bytes())
    assert back.progress is not None
    assert math.isnan(back.progress["loss"])
    assert back.progress["left"] == math.inf
    assert (back.files, back.notes, back.first_note, back.state) == (there.files, ("one", "two"), 3, "running")
    assert back.job == there.job
    json.loads(there.to_bytes(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"format_version": 2}', b'{"format_version": 1}'])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(ClusterError, match=r"status\.json"):
        parse_status(data)


@pytest.mark.parametrize(
    "name", ["../config.toml", "/etc/passwd", "checkpoints/../../x.pt", ".bashrc", "game.py", "checkpoints/ep_1.pt"]
)
def test_only_files_of_a_run_are_ever_brought_home(name: str) -> None:
    assert not is_run_file(name)
    with pytest.raises(ClusterError, match="cannot be"):
        parse_status(make_status(files={name: FileMark(size_bytes=1, sha256="x")}).to_bytes())


@pytest.mark.parametrize(
    ("name", "is_so"),
    [
        ("checkpoints/ep_0157.pt", True),
        ("checkpoints/ep_10001.pt", True),
        ("replay/ep_0100-0123abcd.npz", True),
        ("checkpoints/ep_0000.pt", False),
        ("checkpoints/ep_0100.pt", False),
        ("checkpoints/ep_12300.pt", False),
        ("checkpoints/final.pt", False),
        ("checkpoints/abandoned-1/ep_0157.pt", False),
        ("checkpoints/ep_0157_good.pt", False),
        ("checkpoints/ep_157.pt", False),
        ("replay/ep_0100.npz", False),
        ("../checkpoints/ep_0157.pt", False),
        ("training.log", False),
    ],
)
def test_what_newer_files_replace_and_what_stays_for_good(name: str, is_so: bool) -> None:
    assert is_prunable(name) == is_so


def test_the_index_has_the_files_of_a_run_and_sees_each_change(tmp_path: Path) -> None:
    kept = [
        "config.toml",
        "training.log",
        "training.log.2",
        "checkpoints/final.pt",
        "checkpoints/abandoned-1/ep_0100.pt",
    ]
    for name in [*kept, ".lock", "status.json", "checkpoints/.tmp-final.pt-1-ab", "notes.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    index = FileIndex(tmp_path)
    first = index.scan()
    assert sorted(first) == sorted(kept)
    assert first["training.log"].sha256 == hashlib.sha256(b"training.log").hexdigest()
    (tmp_path / "training.log").write_text("training.log and more")
    (tmp_path / "checkpoints" / "final.pt").unlink()
    second = index.scan()
    assert second["training.log"].size_bytes == 21
    assert "checkpoints/final.pt" not in second
    assert second["config.toml"] == first["config.toml"]
    assert matches(b"training.log and more", first["training.log"])
    assert not matches(b"training_log and more", first["training.log"])
