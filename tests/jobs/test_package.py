from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from retro_gamer.errors import UsageError
from retro_gamer.games.loading.find import GameSource, find_source
from retro_gamer.jobs.package import Package, plan_package
from retro_gamer.run.config import load_config
from retro_gamer.training.preparation import ResumePoint
from tests.training.corridors import CORRIDOR, DESCRIPTION, make_corridor_run


def names(package: Package) -> list[str]:
    return sorted(file.name for file in package.files if not file.name.startswith("retro_gamer/"))


def write(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_project_is_packed_whatever_git_ignores_and_without_what_is_not_its_own(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, run_name="project/runs/one")
    project = tmp_path / "project"
    write(project / ".gitignore", "levels/\nruns/\n*.txt\n")
    for kept in ("levels/first.txt", "player.py", "assets/sub/map.csv"):
        write(project / kept)
    for left in (
        ".git/config",
        ".env",
        ".venv/pyvenv.cfg",
        "other/pyvenv.cfg",
        "other/lib/x.py",
        "a/__pycache__/m.pyc",
    ):
        write(project / left)
    write(project / "recording.mp4", "x" * 100)
    source = load_config(run.path).require_source()
    package = plan_package(source, run)
    assert names(package) == [
        "game/assets/sub/map.csv", "game/game.py", "game/levels/first.txt", "game/player.py", "game/pyproject.toml",
        "game/recording.mp4", "run/config.toml",
    ]  # fmt: skip
    assert (package.source and package.source.search_path, package.source and package.source.module) == ("game", "game")


def test_large_files_are_left_out_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retro_gamer.jobs.package.LARGE_FILE_BYTES", 2000)
    run = make_corridor_run(tmp_path)
    write(tmp_path / "project" / "film.bin", "x" * 2001)
    package = plan_package(load_config(run.path).require_source())
    assert names(package) == ["game/game.py", "game/pyproject.toml"]
    assert [line.split()[0] for line in package.left_out] == ["film.bin"]


def test_a_project_that_is_too_large_is_refused_naming_its_largest_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_corridor_run(tmp_path)
    write(tmp_path / "project" / "levels.dat", "x" * 1_000_000)
    monkeypatch.setattr("retro_gamer.jobs.package.LARGEST_BYTES", 1_000_000)
    with pytest.raises(UsageError, match=r"levels\.dat"):
        plan_package(load_config(run.path).require_source())


def test_the_same_files_give_the_same_bytes_and_the_game_runs_where_they_are_unpacked(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    package = plan_package(load_config(run.path).require_source(), run)
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    assert package.write(first) == package.write(second)
    assert first.read_bytes() == second.read_bytes()
    there = tmp_path / "there"
    zipfile.ZipFile(first).extractall(there)
    (tmp_path / "project" / "game.py").unlink()
    assert package.source is not None
    script = (
        "import os, retro_gamer; from retro_gamer.games.loading.find import GameSource;"
        "from retro_gamer.games.loading.launcher import load_factory;"
        f"source = {package.source!r}.located(os.getcwd());"
        "print(retro_gamer.__file__, load_factory(source)().board_size)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=there, capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == [str(there / "retro_gamer" / "__init__.py"), "(7, 1)\n"]


def test_a_game_of_the_framework_is_on_every_node() -> None:
    source = find_source("retro.examples.snake")
    package = plan_package(source)
    assert names(package) == []
    assert package.source == source


def test_an_installed_game_is_packed_as_the_module_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "site-packages" / "corridor_installed" / "__init__.py", CORRIDOR)
    write(tmp_path / "site-packages" / "corridor_installed" / "pyproject.toml", DESCRIPTION)
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    package = plan_package(GameSource(module="corridor_installed"))
    assert names(package) == ["game/corridor_installed/__init__.py", "game/corridor_installed/pyproject.toml"]
    assert package.source == GameSource(module="corridor_installed", search_path="game")


def test_the_package_of_a_resumed_run_has_its_checkpoint_log_and_snapshot(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    for name in ("ep_0100", "ep_0200"):
        run.write_checkpoint(name, b"x")
    write(run.log_path)
    write(run.path / "training.log.1")
    snapshot = "ep_0100-0123abcd.npz"
    write(run.path / "replay" / snapshot)
    source = load_config(run.path).require_source()
    state = {"episode": 100, "replay_snapshot": snapshot}
    package = plan_package(source, run, ResumePoint(file=run.resolve_checkpoint("ep_0100"), state=state))
    assert [name for name in names(package) if name.startswith("run/")] == [
        "run/checkpoints/ep_0100.pt", "run/config.toml", f"run/replay/{snapshot}", "run/training.log",
        "run/training.log.1",
    ]  # fmt: skip


@pytest.mark.parametrize("snapshot", ["../../secret", "../config.toml", "/etc/hostname", "notes.txt", 7])
def test_a_checkpoint_cannot_name_any_other_file_to_be_sent(tmp_path: Path, snapshot: object) -> None:
    run = make_corridor_run(tmp_path)
    run.write_checkpoint("ep_0100", b"x")
    write(tmp_path / "secret")
    write(run.path / "replay" / "notes.txt")
    point = ResumePoint(file=run.resolve_checkpoint("ep_0100"), state={"episode": 100, "replay_snapshot": snapshot})
    package = plan_package(load_config(run.path).require_source(), run, point)
    assert [name for name in names(package) if name.startswith("run/")] == [
        "run/checkpoints/ep_0100.pt",
        "run/config.toml",
    ]
