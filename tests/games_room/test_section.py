from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.errors import ConfigurationError
from retro_gamer.games.loading.find import find_section, folders_above, read_section

SECTION = '[tool.retro-gamer]\nreward = "score"\n'


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_nearest_file_with_a_section_is_found(tmp_path: Path) -> None:
    outer = write(tmp_path / "pyproject.toml", SECTION)
    write(tmp_path / "a" / "pyproject.toml", '[project]\nname = "other"\n')
    write(tmp_path / "a" / "b" / "pyproject.toml", 'tool = "no table"\n')
    (tmp_path / "a" / "b" / "c" / "pyproject.toml").mkdir(parents=True)
    assert find_section(tmp_path / "a" / "b" / "c") == (outer, {"reward": "score"})
    inner = write(tmp_path / "a" / "b" / "pyproject.toml", '[tool.retro-gamer]\nreward = "inner"\n')
    assert find_section(tmp_path / "a" / "b" / "c") == (inner, {"reward": "inner"})


@pytest.mark.parametrize("library", ["site-packages", "dist-packages"])
def test_the_search_stops_at_installed_packages(tmp_path: Path, library: str) -> None:
    write(tmp_path / "pyproject.toml", SECTION)
    folder = tmp_path / ".venv" / "lib" / library
    write(folder / "pyproject.toml", SECTION)
    assert find_section(folder / "game") is None
    assert find_section(folder) is None
    assert list(folders_above(folder / "a" / "b")) == [folder / "a" / "b", folder / "a"]
    own = write(folder / "game" / "pyproject.toml", SECTION)
    assert find_section(folder / "game" / "inner") == (own, {"reward": "score"})


@pytest.mark.parametrize("text", ["\ufeff" + SECTION, SECTION.replace("\n", "\r\n")])
def test_files_from_other_editors_are_read(tmp_path: Path, text: str) -> None:
    assert read_section(write(tmp_path / "pyproject.toml", text)) == {"reward": "score"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[tool.retro-gamer]\nactions = ["a",\nreward = \n', 3),
        ("[tool.retro-gamer\n", 1),
        ("a = 1\na = 2\n", 2),
        ("[tool.retro-gamer]\nreward = score\n", 2),
    ],
)
def test_what_is_not_toml_is_named_by_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    path = write(tmp_path / "pyproject.toml", text)
    with pytest.raises(ConfigurationError) as raised:
        find_section(tmp_path / "inner")
    assert f"{path}, line {line}" in str(raised.value)


def test_other_unreadable_files_are_refused_too(tmp_path: Path) -> None:
    path = write(tmp_path / "pyproject.toml", b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_section(path)
    write(path, "a = " + "[" * 3000 + "]" * 3000)
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        read_section(path)
    write(path, "[tool]\nretro-gamer = 3\n")
    with pytest.raises(ConfigurationError, match="must be a table"):
        read_section(path)
