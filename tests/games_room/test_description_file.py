from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from retro_gamer.errors import ConfigurationError, UsageError
from retro_gamer.games.description import complete_description, find_description_file
from retro_gamer.games.loading.find import find_source

VALUES = {"actions": ["KEY_UP", " "], "reward": "score", "character_set": ["\\", '"', "█"], "spatial": True}


def write_description(path: Path, values: dict[str, object]) -> list[str]:
    text, names = complete_description(path, values)
    path.write_bytes(text.encode())
    return names


PROJECT = """\
# my project
[project]
name = "x"   # a name

[tool.other]
a = 1

[[tool.list]]
b = 2
"""


def test_a_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    assert write_description(path, VALUES) == list(VALUES)
    assert tomllib.loads(path.read_text()) == {"tool": {"retro-gamer": VALUES}}
    assert path.read_text().startswith("[tool.retro-gamer]\n")


@pytest.mark.parametrize("text", [PROJECT, PROJECT.replace("\n", "\r\n"), "[tool]\nx = 1\n", "tool.other.a = 1\n", ""])
def test_nothing_else_is_touched(text: str, tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_bytes(text.encode())
    write_description(path, VALUES)
    written = path.read_bytes().decode()
    before, after = tomllib.loads(text), tomllib.loads(written)
    assert after["tool"].pop("retro-gamer") == VALUES
    assert after.get("tool", {}) == before.get("tool", {})
    assert [line for line in text.splitlines() if line not in written.splitlines()] == []
    assert write_description(path, VALUES) == []
    assert path.read_bytes().decode() == written


def test_fields_that_stand_there_are_kept_with_their_comments(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text('[tool.retro-gamer]\nanswers = ["1"]  # the menu\nreward = "mine"\n\n[tool.z]\n')
    assert write_description(path, VALUES) == ["actions", "character_set", "spatial"]
    assert 'answers = ["1"]  # the menu\nreward = "mine"\n' in path.read_text()
    assert tomllib.loads(path.read_text())["tool"]["retro-gamer"] == {**VALUES, "answers": ["1"], "reward": "mine"}


def test_what_is_no_table_or_no_toml_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    for text, error in (("[tool]\nretro-gamer = 3\n", UsageError), ("[tool\n", ConfigurationError)):
        path.write_text(text)
        with pytest.raises(error):
            write_description(path, VALUES)
        assert path.read_text() == text


def test_the_place_is_the_file_that_has_the_section_or_the_one_beside_the_game(tmp_path: Path) -> None:
    (tmp_path / "game").mkdir()
    (tmp_path / "game" / "main.py").write_text("")
    source = find_source(str(tmp_path / "game" / "main.py"))
    above = tmp_path / "pyproject.toml"
    assert find_description_file(source) == tmp_path / "game" / "pyproject.toml"
    above.write_text('[project]\nname = "x"\n')
    assert find_description_file(source) == tmp_path / "game" / "pyproject.toml"
    above.write_text("[tool.retro-gamer]\n")
    assert find_description_file(source) == above
    with pytest.raises(UsageError, match="is an installed package"):
        find_description_file(find_source("retro.examples.virus"))
