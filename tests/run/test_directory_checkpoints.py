from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.errors import UsageError
from retro_gamer.run.directory import (
    check_name,
    checkpoint_name,
    describe_file,
    find_file,
    find_inside,
    is_checkpoint_name,
    list_files,
    prunable,
)


@pytest.mark.parametrize(("episode", "name"), [(0, "ep_0000"), (100, "ep_0100"), (12_345, "ep_12345")])
def test_names_have_at_least_four_digits(episode: int, name: str) -> None:
    assert checkpoint_name(episode) == name
    assert is_checkpoint_name(name)


@pytest.mark.parametrize(
    "name", ["ep_100", "ep_0100.pt", "latest", ".tmp-ep_0100", "ep_0100 ", "EP_0100", "ep_٠٠٠١", ""]
)
def test_other_names_are_none_of_ours(name: str) -> None:
    assert not is_checkpoint_name(name)


def test_checkpoints_are_sorted_by_number_with_the_final_one_last(tmp_path: Path) -> None:
    for name in ("ep_10000", "ep_0200", "final", "ep_9900", "ep_0100"):
        (tmp_path / f"{name}.pt").write_bytes(b"12345")
    listed = list_files(tmp_path)
    assert [file.name for file in listed] == ["ep_0100", "ep_0200", "ep_9900", "ep_10000", "final"]
    assert [file.episode for file in listed] == [100, 200, 9900, 10_000, None]
    assert {file.size_bytes for file in listed} == {5}
    assert listed[0].path == tmp_path / "ep_0100.pt"
    assert listed[0].modified.timestamp() == pytest.approx((tmp_path / "ep_0100.pt").stat().st_mtime)


def test_what_is_no_checkpoint_is_not_listed(tmp_path: Path) -> None:
    run = tmp_path / "checkpoints"
    (run / "abandoned-1").mkdir(parents=True)
    (run / "abandoned-1" / "ep_0100.pt").touch()
    (run / "ep_0300.pt").mkdir()
    for name in (".tmp-ep_0100.pt-12-ab", ".tmp-ep_0100.pt", "ep_0100.pt.bak", "ep_1.pt", "ep_0100", "replay.pt"):
        (run / name).touch()
    (tmp_path / "ep_0100.pt").touch()
    (run / "ep_0400.pt").symlink_to(tmp_path / "ep_0100.pt")
    (run / "ep_0500.pt").symlink_to(tmp_path / "nowhere")
    assert list_files(run) == []
    assert list_files(tmp_path / "missing") == []


def test_a_link_within_the_folder_is_listed(tmp_path: Path) -> None:
    (tmp_path / "ep_0100.pt").touch()
    (tmp_path / "final.pt").symlink_to("ep_0100.pt")
    assert [file.name for file in list_files(tmp_path)] == ["ep_0100", "final"]


def test_a_file_of_any_name_is_described(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.touch()
    described = describe_file(path)
    assert (described.name, described.episode, described.size_bytes) == ("best", None, 0)


def test_a_file_is_found_with_and_without_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "ep_0100.pt"
    path.touch()
    assert find_file(tmp_path / "ep_0100") == find_file(path) == path
    assert find_file(tmp_path / "ep_01") is None
    assert find_file(Path("/")) is None
    assert find_file(tmp_path) is None


def test_an_absolute_path_that_leads_inside_names_what_it_names(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    (folder / "abandoned-1").mkdir(parents=True)
    path = folder / "abandoned-1" / "ep_0100.pt"
    path.touch()
    assert find_inside(folder, str(path)) == find_inside(folder, str(path.with_suffix(""))) == path
    assert find_inside(folder, str(folder / "ep_0200.pt")) is None


@pytest.mark.parametrize(
    "text", ["../secret", "../checkpoints/ep_0100", "a/../../secret", "/etc/passwd", "linked", "link/secret"]
)
def test_nothing_outside_the_folder_is_found(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "ep_0100.pt").touch()
    (tmp_path / "secret.pt").touch()
    (folder / "linked.pt").symlink_to(tmp_path / "secret.pt")
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="is outside") as caught:
        find_inside(folder, text)
    assert caught.value.exit_code == 2


def test_what_is_inside_is_found_also_if_the_folder_itself_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "abandoned-1").mkdir(parents=True)
    (tmp_path / "disk" / "abandoned-1" / "ep_0100.pt").touch()
    (tmp_path / "checkpoints").symlink_to(tmp_path / "disk")
    found = find_inside(tmp_path / "checkpoints", "abandoned-1/ep_0100")
    assert found == tmp_path / "checkpoints" / "abandoned-1" / "ep_0100.pt"
    assert find_inside(tmp_path / "checkpoints", "abandoned-1") is None


@pytest.mark.parametrize("text", ["", "  ", "ep\0_0100"])
def test_what_can_name_no_file_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a checkpoint"):
        check_name(text)


def test_of_those_between_the_hundreds_the_newest_stay_and_nothing_else_goes(tmp_path: Path) -> None:
    kept = ["ep_0100", "ep_0200", "ep_0257", "ep_0261", "final"]
    for name in (*kept, "ep_0001", "ep_0099", "ep_0101", "ep_0255"):
        (tmp_path / f"{name}.pt").write_bytes(b"")
    files = list_files(tmp_path)
    gone = {file.name for file in prunable(files)}
    assert [file.name for file in files if file.name not in gone] == kept
    assert prunable(list_files(tmp_path / "nowhere")) == []
