from __future__ import annotations

import os
from pathlib import Path

import pytest

from retro_gamer.errors import CheckpointNotFoundError, RunExistsError, RunNotFoundError, UsageError
from retro_gamer.run.directory import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "runs" / "snake")
    for name in ("ep_0100", "ep_0200", "final"):
        run.write_checkpoint(name, name.encode())
    run.config_path.write_text("[run]\nformat_version = 1\n")
    return run


def _names(run: RunDirectory) -> list[str]:
    return [file.name for file in run.checkpoints()]


def test_the_files_are_where_the_reference_says(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path))
    assert run.config_path == tmp_path / "config.toml"
    assert run.log_path == tmp_path / "training.log"
    assert run.checkpoints_dir == tmp_path / "checkpoints"
    assert not run.has_checkpoints
    assert os.listdir(tmp_path) == []


def test_a_run_is_opened(run: RunDirectory) -> None:
    assert RunDirectory.open(str(run.path)).path == run.path
    assert run.has_checkpoints


def test_what_is_no_run_is_explained(tmp_path: Path, run: RunDirectory) -> None:
    for path, said in [
        (tmp_path / "missing", "does not exist"),
        (tmp_path, "contains no config.toml"),
        (run.config_path, "is a file"),
        (tmp_path / "\x1b[2J", r"\\x1b\[2J"),
    ]:
        with pytest.raises(RunNotFoundError, match=said) as caught:
            RunDirectory.open(path)
        assert "retro-gamer create" in str(caught.value)
        assert "\x1b" not in str(caught.value)


def test_a_checkpoint_is_written_whole_and_replaced(run: RunDirectory) -> None:
    path = run.write_checkpoint("ep_0200", b"newer")
    assert path == run.checkpoints_dir / "ep_0200.pt"
    assert path.read_bytes() == b"newer"
    assert _names(run) == ["ep_0100", "ep_0200", "final"]


@pytest.mark.parametrize("name", ["../escape", "ep_1", "latest", "final.pt", ""])
def test_a_checkpoint_of_another_name_is_not_written(run: RunDirectory, name: str) -> None:
    with pytest.raises(ValueError, match="ep_NNNN or final"):
        run.write_checkpoint(name, b"")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("final", "final"),
        ("ep_0100", "ep_0100"),
        ("ep_0100.pt", "ep_0100"),
        ("./ep_0200.pt", "ep_0200"),
        ("latest", "final"),
    ],
)
def test_a_checkpoint_is_meant_by_its_name(run: RunDirectory, text: str, name: str) -> None:
    assert run.resolve_checkpoint(text).name == name
    assert run.resolve_resume(text).name == name


def test_the_latest_is_the_one_of_the_last_episode(run: RunDirectory) -> None:
    (run.checkpoints_dir / "final.pt").unlink()
    run.write_checkpoint("ep_10000", b"")
    os.utime(run.checkpoints_dir / "ep_10000.pt", (0, 0))
    assert run.resolve_checkpoint("latest").name == "ep_10000"


def test_a_checkpoint_that_is_missing_is_named_with_those_there_are(run: RunDirectory) -> None:
    for resolve in (run.resolve_checkpoint, run.resolve_resume):
        with pytest.raises(CheckpointNotFoundError, match="ep_0300") as caught:
            resolve("ep_0300")
        assert "ep_0100, ep_0200, final" in str(caught.value)


def test_of_many_checkpoints_a_few_are_named(run: RunDirectory) -> None:
    for episode in range(300, 3000, 100):
        run.write_checkpoint(f"ep_{episode:04d}", b"")
    with pytest.raises(CheckpointNotFoundError) as caught:
        run.resolve_checkpoint("x")
    assert "ep_0100, ep_0200, ep_0300, …, ep_2700, ep_2800, ep_2900, final" in str(caught.value)


def test_without_any_checkpoint_the_next_command_is_named(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for ask in (lambda: run.resolve_checkpoint("latest"), lambda: run.resolve_resume("x"), run.default_checkpoint):
        with pytest.raises(CheckpointNotFoundError, match="retro-gamer train"):
            ask()


@pytest.mark.parametrize("name", ["../final", "/etc/passwd", "a/../../config.toml", ""])
def test_a_name_to_play_never_leaves_the_folder(run: RunDirectory, name: str) -> None:
    with pytest.raises(UsageError):
        run.resolve_checkpoint(name)


def test_a_run_is_resumed_from_any_path(run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.pt").write_bytes(b"mine")
    assert run.resolve_resume(str(elsewhere / "mine.pt")).path == elsewhere / "mine.pt"
    monkeypatch.chdir(tmp_path)
    assert run.resolve_resume("elsewhere/mine.pt").path.read_bytes() == b"mine"
    assert run.resolve_resume("runs/snake/checkpoints/ep_0100.pt").path.read_bytes() == b"ep_0100"
    assert run.resolve_resume("elsewhere/../runs/snake/checkpoints/ep_0200").path.read_bytes() == b"ep_0200"


def test_a_path_from_the_working_directory_comes_before_one_in_the_run(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ep_0100.pt").write_bytes(b"from here")
    monkeypatch.chdir(tmp_path)
    assert run.resolve_resume("ep_0100.pt").path.read_bytes() == b"from here"
    assert run.resolve_resume("ep_0200.pt").path.read_bytes() == b"ep_0200"
    assert run.resolve_checkpoint("ep_0100.pt").path.read_bytes() == b"ep_0100"


def test_an_abandoned_checkpoint_can_still_be_named(run: RunDirectory) -> None:
    run.abandon_after(100)
    assert run.resolve_checkpoint("abandoned-1/ep_0200").path.read_bytes() == b"ep_0200"
    assert run.resolve_resume("abandoned-1/final").path.read_bytes() == b"final"


def test_its_own_checkpoints_are_known_by_any_path(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linked.pt").symlink_to(run.checkpoints_dir / "ep_0200.pt")
    monkeypatch.chdir(run.checkpoints_dir)
    for text, name in [
        ("final", "final"),
        ("../checkpoints/ep_0100", "ep_0100"),
        (str(tmp_path / "linked"), "ep_0200"),
    ]:
        own = run.find_own(run.resolve_resume(text))
        assert own is not None
        assert own.name == name


def test_one_of_the_same_name_elsewhere_is_not_its_own(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "final.pt").write_bytes(b"final")
    assert run.find_own(run.resolve_resume(str(tmp_path / "final.pt"))) is None
    run.abandon_after(100)
    assert run.find_own(run.resolve_resume("abandoned-1/final")) is None


def test_play_takes_the_final_one_or_says_which(run: RunDirectory) -> None:
    file, note = run.default_checkpoint()
    assert (file.name, note) == ("final", None)
    file.path.unlink()
    file, note = run.default_checkpoint()
    assert file.name == "ep_0200"
    assert note is not None
    assert "ep_0200" in note


def test_later_checkpoints_are_moved_aside_and_the_final_one_too(run: RunDirectory) -> None:
    folder = run.abandon_after(100)
    assert folder == run.checkpoints_dir / "abandoned-1"
    assert _names(run) == ["ep_0100"]
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {"ep_0200.pt": b"ep_0200", "final.pt": b"final"}


def test_each_time_there_is_another_folder_and_none_without_need(run: RunDirectory) -> None:
    assert run.abandon_after(150) == run.checkpoints_dir / "abandoned-1"
    assert run.abandon_after(150) is None
    run.write_checkpoint("ep_0200", b"second")
    assert run.abandon_after(150) == run.checkpoints_dir / "abandoned-2"
    assert (run.checkpoints_dir / "abandoned-1" / "ep_0200.pt").read_bytes() == b"ep_0200"
    assert (run.checkpoints_dir / "abandoned-2" / "ep_0200.pt").read_bytes() == b"second"


def test_the_final_checkpoint_that_is_resumed_from_stays_under_its_episode(run: RunDirectory) -> None:
    assert run.abandon_after(250, run.resolve_resume("final")) is None
    assert _names(run) == ["ep_0100", "ep_0200", "ep_0250"]
    assert (run.checkpoints_dir / "ep_0250.pt").read_bytes() == b"final"


def test_the_final_checkpoint_named_by_another_path_is_known_again(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.path)
    assert run.abandon_after(250, run.resolve_resume("../snake/checkpoints/final.pt")) is None
    assert _names(run) == ["ep_0100", "ep_0200", "ep_0250"]


def test_a_checkpoint_from_elsewhere_leaves_the_final_one_to_be_moved(run: RunDirectory, tmp_path: Path) -> None:
    other = tmp_path / "final.pt"
    other.write_bytes(b"other")
    run.abandon_after(150, run.resolve_resume(str(other)))
    assert other.read_bytes() == b"other"
    assert _names(run) == ["ep_0100"]


def test_a_run_without_checkpoints_says_what_to_type(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "my run")
    with pytest.raises(CheckpointNotFoundError, match=f"retro-gamer train '{tmp_path}/my run'"):
        run.default_checkpoint()


def test_a_new_run_gets_its_directory(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "a" / "b")
    assert run.checkpoints_dir.is_dir()
    assert RunDirectory.create(tmp_path / "a" / "b").path == run.path, "nothing is there yet that could be lost"


@pytest.mark.parametrize("held", ["config.toml", "training.log", "checkpoints/ep_0100.pt"])
def test_an_existing_run_is_not_overwritten(tmp_path: Path, held: str) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / held).touch()
    with pytest.raises(RunExistsError, match="--force"):
        RunDirectory.create(tmp_path)
    assert (tmp_path / held).exists()


def test_with_force_it_is_moved_aside(run: RunDirectory) -> None:
    run.log_path.write_text("the old log")
    again = RunDirectory.create(run.path, force=True)
    assert not again.has_checkpoints
    assert sorted(p.name for p in (run.checkpoints_dir / "abandoned-1").iterdir()) == [
        "ep_0100.pt",
        "ep_0200.pt",
        "final.pt",
    ]
    assert not run.log_path.exists()
    assert (run.path / "training.log.1").read_text() == "the old log"
    assert (run.path / "config.toml.1").read_text() == "[run]\nformat_version = 1\n"


def test_a_file_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for force in (False, True):
        with pytest.raises(RunExistsError, match="is a file"):
            RunDirectory.create(tmp_path / "file", force=force)
    assert (tmp_path / "file").read_text() == "mine"


def test_of_the_checkpoints_that_may_go_those_named_stay(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    for episode in (1, 2, 3, 4, 5, 100):
        run.write_checkpoint(f"ep_{episode:04d}", b"weights")
    run.prune_checkpoints(keep={"ep_0002"})
    assert [file.episode for file in run.checkpoints()] == [2, 4, 5, 100]
    run.prune_checkpoints()
    assert [file.episode for file in run.checkpoints()] == [4, 5, 100]
