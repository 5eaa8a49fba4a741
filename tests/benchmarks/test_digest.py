from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import digest


def write_run(folder: Path, *, weight: float = 1.0, logged: str = "[EP 0001] steps=5", version: str = "1") -> Path:
    """Write a run with a checkpoint of one weight."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    state = {"model_state_dict": {"w": torch.tensor([weight])}, "episode": 3, "version": version}
    torch.save(state, folder / "checkpoints" / "final.pt")
    (folder / "training.log").write_text(f"# a remark\n{logged}\n")
    return folder


def test_a_digest_changes_with_what_was_learned_and_logged_and_with_nothing_else(tmp_path: Path) -> None:
    first = digest.digest_run(write_run(tmp_path / "first"))
    assert digest.digest_run(write_run(tmp_path / "again", version="2")) == first
    assert digest.digest_run(write_run(tmp_path / "weight", weight=1.0000001)) != first
    assert digest.digest_run(write_run(tmp_path / "log", logged="[EP 0001] steps=6")) != first


@pytest.mark.parametrize("name", ["snake-prioritized-n-step", "board-cnn"])
def test_a_run_is_repeated_bit_for_bit_and_as_it_was_when_the_digest_was_kept(name: str) -> None:
    found = digest.digest_case(name)
    assert digest.digest_case(name) == found
    kept = digest.load_kept().get(digest.key_of_machine(), {})
    assert kept.get(name, found) == found


def test_every_machine_that_is_kept_has_every_case() -> None:
    kept = digest.load_kept()
    assert kept
    assert all(set(cases) == set(digest.CASES) for cases in kept.values())
