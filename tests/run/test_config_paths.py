from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.run.config import to_absolute_path, to_relative_path


def test_a_neighbour_is_named_relative(tmp_path: Path) -> None:
    run, game = tmp_path / "project" / "runs" / "one", tmp_path / "project" / "game.py"
    run.mkdir(parents=True)
    assert to_relative_path(str(game), run) == "../../game.py"
    assert to_absolute_path("../../game.py", run) == str(game)


def test_both_can_be_moved_together(tmp_path: Path) -> None:
    run = tmp_path / "project" / "runs" / "one"
    run.mkdir(parents=True)
    name = to_relative_path(str(tmp_path / "project" / "game"), run)
    (tmp_path / "project").rename(tmp_path / "moved")
    assert to_absolute_path(name, tmp_path / "moved" / "runs" / "one") == str(tmp_path / "moved" / "game")


def test_what_shares_only_the_root_is_named_absolute(tmp_path: Path) -> None:
    assert to_relative_path("/nowhere/game.py", tmp_path) == "/nowhere/game.py"
    assert to_absolute_path("/nowhere/game.py", tmp_path) == "/nowhere/game.py"


def test_a_run_behind_a_link_finds_the_same_file(tmp_path: Path) -> None:
    run = tmp_path / "deep" / "er" / "run"
    run.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(run)
    game = str(tmp_path / "game.py")
    assert to_absolute_path(to_relative_path(game, link), link) == game
    assert to_absolute_path(to_relative_path(game, link), run) == game


def test_the_working_directory_counts_for_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    name = to_relative_path("game.py", Path("runs/one"))
    monkeypatch.chdir("/")
    assert to_absolute_path(name, run) == str(tmp_path / "game.py")
