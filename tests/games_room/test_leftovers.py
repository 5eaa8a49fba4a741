from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retro_gamer.games.loading import sandbox as leftovers
from retro_gamer.games.loading.sandbox import make_held, remove_unheld

MAKE_AND_WAIT = """
import sys
from retro_gamer.games.loading.sandbox import make_held
print(make_held("rg-test-", sys.argv[1]), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_SETTLED_SECONDS", -1)


def test_the_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MAKE_AND_WAIT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        theirs = Path(maker.stdout.readline().strip())
        (theirs / "scores.txt").write_text("1")
        ours = Path(make_held("rg-test-", str(tmp_path)))
        assert theirs.is_dir(), "its maker lives"
        maker.kill()
    third = Path(make_held("rg-test-", str(tmp_path)))
    assert sorted(tmp_path.iterdir()) == sorted([ours, third])


def test_only_old_folders_of_the_prefix_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    parent = tmp_path / "parent"
    (parent / "rg-test-old").mkdir(parents=True)
    (parent / "another").mkdir()
    os.symlink(elsewhere, parent / "rg-test-link")
    (parent / "rg-test-file").write_text("")
    remove_unheld("rg-test-", str(parent))
    assert sorted(path.name for path in parent.iterdir()) == ["another", "rg-test-file", "rg-test-link"]
    assert elsewhere.is_dir()
    monkeypatch.setattr(leftovers, "_SETTLED_SECONDS", 60)
    (parent / "rg-test-new").mkdir()
    remove_unheld("rg-test-", str(parent))
    assert (parent / "rg-test-new").is_dir(), "its maker may not hold it yet"


def test_a_folder_that_cannot_be_listed_does_not_matter(tmp_path: Path) -> None:
    remove_unheld("rg-test-", str(tmp_path / "missing"))
    assert not (tmp_path / "missing").exists()
