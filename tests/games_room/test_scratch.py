from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from retro_gamer.games.loading import sandbox as scratch_module
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.sandbox import Scratch, scratch_for, scratch_of

Project = Callable[[dict[str, str]], Path]


def test_what_lies_beside_the_game_is_copied_and_the_rest_left_out(make_project: Project) -> None:
    folder = make_project(
        {
            "levels/one.txt": "###",
            "game.py": "",
            ".git/config": "x",
            "venv/pyvenv.cfg": "",
            "venv/lib.txt": "x",
            "__pycache__/game.pyc": "x",
            "checkpoints/final.pt": "x",
        }
    )
    scratch = Scratch(str(folder))
    found = sorted(str(p.relative_to(scratch.path)) for p in Path(scratch.path).rglob("*") if p.is_file())
    assert found == ["game.py", "levels/one.txt"]
    assert not scratch.left_out
    assert scratch.mirrored(str(folder / "levels" / "one.txt")) == f"{scratch.path}/levels/one.txt"
    assert scratch.mirrored(str(folder / "missing.txt")) == str(folder / "missing.txt")


def test_entering_stands_in_the_folder_and_leaving_where_we_were(
    make_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scratch = Scratch(str(make_project({"game.py": ""})))
    for _ in range(2):
        scratch.enter()
        assert str(Path.cwd()) == scratch.path
        scratch.exit()
        assert Path.cwd() == tmp_path


def test_a_folder_that_is_too_large_is_copied_in_part_and_nothing_is_mirrored(
    make_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch_module, "_MOST_BYTES", 10)
    folder = make_project({"a.txt": "12345678", "b/c.txt": "12345678"})
    scratch = Scratch(str(folder))
    assert (Path(scratch.path) / "a.txt").exists()
    assert not (Path(scratch.path) / "b").exists()
    assert scratch.left_out
    assert scratch.mirrored(str(folder / "a.txt")) == str(folder / "a.txt")


def test_a_process_has_one_for_each_folder_and_none_for_the_frameworks_examples(make_project: Project) -> None:
    folder = make_project({"game.py": ""})
    assert scratch_for(folder) is scratch_for(str(folder))
    assert scratch_of(find_source(str(folder / "game.py"))) is scratch_for(folder)
    assert scratch_of(find_source("retro.examples.snake")) is None


def test_a_process_whose_folder_was_removed_still_finds_one(
    make_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scratch = Scratch(str(make_project({"game.py": ""})))
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    scratch.enter()
    assert str(Path.cwd()) == scratch.path
    scratch.exit()
    assert str(Path.cwd()) == scratch.path


def test_the_folder_goes_with_the_process_that_made_it_and_no_other(make_project: Project) -> None:
    path = Path(Scratch(str(make_project({"game.py": ""}))).path)
    scratch_module._remove(str(path), os.getpid() + 1)
    assert path.is_dir()
    scratch_module._remove(str(path), os.getpid())
    assert not path.exists()
