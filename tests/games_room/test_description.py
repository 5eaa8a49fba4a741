from __future__ import annotations

import dataclasses
import pickle
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retro.examples import snake

from retro_gamer.errors import ConfigurationError, DescriptionNotFoundError, UsageError
from retro_gamer.games.description import (
    BUILTIN,
    DescriptionPlace,
    GameMetadata,
    complete_description,
    find_description,
    find_description_place,
)
from retro_gamer.games.game_rules import find_game_problems
from retro_gamer.games.loading.find import GameSource, find_source
from retro_gamer.games.loading.launcher import load_factory

GOOD: dict[str, Any] = {"actions": ["KEY_RIGHT", "a"], "reward": "score"}


def test_the_reference_example_is_read_as_written() -> None:
    values: dict[str, Any] = {
        "actions": ["KEY_RIGHT", "KEY_UP", "KEY_LEFT", "KEY_DOWN"],
        "reward": "score",
        "character_set": ["@", "*", ">", "<", "^", "v"],
        "spatial": True,
        "observe_state": [],
    }
    metadata = GameMetadata.from_mapping(values, "the test")
    assert metadata == GameMetadata.from_pyproject("retro.examples.snake")
    assert metadata.to_mapping() == values
    assert metadata.n_actions == 5
    assert [metadata.key_of(i) for i in range(5)] == [*values["actions"], None]


@pytest.mark.parametrize("index", [-1, 3])
def test_there_are_no_other_actions(index: int) -> None:
    with pytest.raises(IndexError):
        GameMetadata(**GOOD).key_of(index)


def test_defaults() -> None:
    metadata = GameMetadata(actions=["q"], reward="score")  # type: ignore[arg-type]
    assert metadata.actions == ("q",)
    assert (metadata.character_set, metadata.spatial, metadata.observe_state) == (None, True, ())
    assert (metadata.factory, metadata.player, metadata.board_size) == (None, None, None)
    assert metadata.to_mapping() == {"actions": ["q"], "reward": "score", "spatial": True, "observe_state": []}


def test_what_is_written_reads_back_the_same_here_and_in_another_process() -> None:
    metadata = GameMetadata(
        actions=(" ", "KEY_ENTER"),
        reward="points",
        character_set=("█", "é"),
        spatial=False,
        observe_state=("lives",),
        factory="main:build",
        player="hero",
        board_size=(7, 3),
    )
    assert GameMetadata.from_mapping(metadata.to_mapping(), "the test") == metadata
    assert pickle.loads(pickle.dumps(metadata)) == metadata
    assert dataclasses.replace(metadata, board_size=(1, 2)).board_size == (1, 2)


@pytest.mark.parametrize("name", ["nav", "beast", "labyrinth"])
def test_examples_are_described(name: str) -> None:
    assert GameMetadata.from_pyproject(f"retro.examples.{name}").reward == "score"


def test_a_module_and_a_path_do_as_well() -> None:
    expected = GameMetadata.from_pyproject("retro.examples.snake")
    assert GameMetadata.from_pyproject(snake) == expected
    assert GameMetadata.from_pyproject(str(snake.__file__)) == expected
    with pytest.raises(DescriptionNotFoundError):
        GameMetadata.from_pyproject(json_module())


def json_module() -> Any:
    import json

    return json


def test_every_constructor_validates() -> None:
    with pytest.raises(ConfigurationError):
        GameMetadata(actions=(), reward="score")
    with pytest.raises(ConfigurationError):
        dataclasses.replace(GameMetadata(**GOOD), reward="")


Project = Callable[[dict[str, str]], Path]


@pytest.mark.parametrize("name", ["retro.examples.snake", "retro.examples.labyrinth"])
def test_examples_without_a_description_have_a_built_in_one(name: str) -> None:
    found = find_description(find_source(name))
    assert found.builtin
    assert found.values == BUILTIN[name]
    assert name in found.origin


def test_the_built_in_description_of_snake_fits_the_game() -> None:
    metadata = GameMetadata.from_pyproject("retro.examples.snake")
    game = load_factory(find_source("retro.examples.snake"))()
    assert find_game_problems(metadata, game) == []


def test_an_example_with_its_own_is_described_by_that() -> None:
    found = find_description(find_source("retro.examples.beast"))
    assert not found.builtin
    assert found.values["character_set"] == ["*", "H", "█"]
    assert found.origin.endswith("beast/pyproject.toml")


def test_changing_what_was_found_changes_no_built_in_description() -> None:
    find_description(find_source("retro.examples.snake")).values["actions"].append("q")
    assert "q" not in find_description(find_source("retro.examples.snake")).values["actions"]


def test_a_description_above_the_module_counts(make_project: Project, plain_game_text: str) -> None:
    folder = make_project({"game/main.py": plain_game_text, "pyproject.toml": '[tool.retro-gamer]\nreward = "x"\n'})
    for game in (folder / "game", folder / "game" / "main.py"):
        assert find_description(find_source(str(game))).values == {"reward": "x"}


def test_a_users_own_snake_is_not_the_frameworks(make_project: Project, plain_game_text: str) -> None:
    folder = make_project({"snake.py": plain_game_text})
    with pytest.raises(DescriptionNotFoundError) as raised:
        find_description(find_source(str(folder / "snake.py")))
    assert "retro-gamer check" in str(raised.value)
    assert "[tool.retro-gamer]" in str(raised.value)
    with pytest.raises(DescriptionNotFoundError):
        find_description(GameSource(module="retro.examples.snake", search_path=str(folder)))


VALUES = {"actions": ["KEY_UP", " "], "reward": "score", "character_set": ["\\", '"', "█"], "spatial": True}


SECTION_TABLES = ("tool", "retro-gamer")


def write_description(path: Path, values: dict[str, object]) -> list[str]:
    text, names = complete_description(DescriptionPlace(path=path, tables=SECTION_TABLES), values)
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


def test_existing_fields_are_kept_with_their_comments(tmp_path: Path) -> None:
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
    assert find_description_place(source).path == tmp_path / "game" / "pyproject.toml"
    above.write_text('[project]\nname = "x"\n')
    assert find_description_place(source).path == tmp_path / "game" / "pyproject.toml"
    above.write_text("[tool.retro-gamer]\n")
    assert find_description_place(source).path == above
    with pytest.raises(UsageError, match="is an installed package"):
        find_description_place(find_source("retro.examples.virus"))


PLAYS = (
    "from retro.game import Game\nfrom retro.agent import ArrowKeyAgent\nGame([ArrowKeyAgent()], {'score': 0}).play()\n"
)


def described_as(game: Path) -> object:
    """Return the reward by which a game is described, None if it is not."""
    try:
        return find_description(find_source(str(game))).values["reward"]
    except DescriptionNotFoundError:
        return None


def test_a_section_that_names_a_game_describes_it_and_no_other(
    make_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        '[tool.retro-gamer]\nreward = "plain"\n[tool.retro-gamer.games]\nb = { reward = "b" }\n'
        'c = { reward = "c" }\n"deep.d" = { reward = "d" }\n"deep/e.py" = { reward = "e" }\n'
        '"pack.main" = { reward = "pack" }\n'
    )
    files = ["a.py", "b.py", "c/__init__.py", "c/game.py", "deep/d.py", "deep/e.py", "pack/__init__.py", "pack/main.py"]
    folder = make_project({"pyproject.toml": text, **dict.fromkeys(files, PLAYS)})
    expected = ["plain", "b", "c", "c", "d", "e", "pack", "pack"]
    assert [described_as(folder / file) for file in files] == expected
    assert described_as(folder / "pack") == "pack"
    monkeypatch.chdir(folder)
    assert [described_as(Path(name)) for name in ("a", "b", "c", "c.game", "pack", "pack.main")] == [
        "plain", "b", "c", "c", "pack", "pack"
    ]  # fmt: skip
    origin = find_description(find_source("deep/d.py")).origin
    assert origin == f'[tool.retro-gamer.games."deep.d"] of {folder / "pyproject.toml"}'


def test_a_plain_section_that_names_its_game_describes_no_other(make_project: Project) -> None:
    folder = make_project({"a.py": PLAYS, "b.py": PLAYS, "pyproject.toml": '[tool.retro-gamer]\nreward = "x"\n'})
    found = find_description(find_source(str(folder / "b.py")))
    assert found.shared_with == ("a.py",)
    assert 'add game = "b" to it' in (found.remark or "")
    (folder / "pyproject.toml").write_text('[tool.retro-gamer]\ngame = "a"\nreward = "x"\n')
    found = find_description(find_source(str(folder / "a.py")))
    assert (found.values, found.remark) == ({"reward": "x"}, None)
    with pytest.raises(DescriptionNotFoundError, match=r"pyproject.toml describes a\."):
        find_description(find_source(str(folder / "b.py")))


def test_a_section_whose_factory_is_in_another_game_is_that_ones(make_project: Project) -> None:
    text = '[tool.retro-gamer]\nreward = "x"\nfactory = "a:make"\n'
    folder = make_project({"a.py": PLAYS, "b.py": PLAYS, "pyproject.toml": text})
    assert [described_as(folder / f"{name}.py") for name in "ab"] == ["x", None]
    (folder / "b.py").write_text(f"import a\n{PLAYS}")
    assert described_as(folder / "b.py") == "x", "a is a part of it"


def test_sections_of_other_games_only_are_passed_by(make_project: Project) -> None:
    inner, outer = '[tool.retro-gamer.games.b]\nreward = "b"\n', '[tool.retro-gamer]\nreward = "outer"\n'
    folder = make_project({"pyproject.toml": outer, "in/pyproject.toml": inner, "in/a.py": PLAYS, "in/b.py": PLAYS})
    assert [described_as(folder / "in" / f"{name}.py") for name in "ab"] == ["outer", "b"]


@pytest.mark.parametrize("text", ["games = 3", "games.a = 3"])
def test_a_section_of_a_game_must_be_a_table(text: str, make_project: Project) -> None:
    folder = make_project({"a.py": PLAYS, "pyproject.toml": f"[tool.retro-gamer]\n{text}\n"})
    with pytest.raises(ConfigurationError, match="must be a table"):
        find_description(find_source(str(folder / "a.py")))


def test_games_in_one_folder_get_sections_of_their_own(make_project: Project) -> None:
    folder = make_project({"a.py": PLAYS, "b.py": PLAYS, "deep/main.py": PLAYS})
    path = folder / "pyproject.toml"
    for file in ("a.py", "b.py", "deep/main.py"):
        place = find_description_place(find_source(str(folder / file)))
        path.write_text(complete_description(place, {"reward": file})[0])
        assert place.path == path
    section = tomllib.loads(path.read_text())["tool"]["retro-gamer"]
    assert section == {
        "game": "a", "reward": "a.py", "games": {"b": {"reward": "b.py"}, "deep.main": {"reward": "deep/main.py"}}
    }  # fmt: skip
    assert [described_as(folder / file) for file in ("a.py", "b.py", "deep/main.py")] == [
        "a.py",
        "b.py",
        "deep/main.py",
    ]


@pytest.mark.parametrize("other", ["pack/b.py", "b.py", "elsewhere/b.py"])
def test_games_of_one_project_are_told_apart(other: str, make_project: Project) -> None:
    text = '[project]\nname = "x"\n[tool.retro-gamer]\nreward = "x"\n'
    folder = make_project({"pack/__init__.py": "", "pack/a.py": PLAYS, other: PLAYS, "pyproject.toml": text})
    assert find_description(find_source(str(folder / "pack" / "a.py"))).shared_with == (other,)


def test_the_parts_of_a_game_are_no_other_games(make_project: Project) -> None:
    files = {
        "pack/__init__.py": "",
        "pack/game.py": f"from .level import x\n{PLAYS}",
        "pack/level.py": f"x = 1\n{PLAYS}",
        "pack/__main__.py": f"from . import game\n{PLAYS}",
        "tests/test_game.py": PLAYS,
        "pyproject.toml": '[tool.retro-gamer]\nreward = "x"\n',
    }
    folder = make_project(files)
    assert find_description(find_source(str(folder / "pack" / "game.py"))).shared_with == ()


def test_a_game_gets_its_own_section_beside_one_that_does_not_suit_it(make_project: Project) -> None:
    folder = make_project({"a.py": PLAYS, "b.py": PLAYS, "pyproject.toml": '[tool.retro-gamer]\nreward = "x"\n'})
    source = find_source(str(folder / "b.py"))
    assert find_description_place(source).tables == SECTION_TABLES
    assert find_description_place(source, of_its_own=True).tables == (*SECTION_TABLES, "games", "b")


@pytest.mark.parametrize(
    ("project", "game", "place"),
    [
        ("pyproject.toml", "pack/game.py", "pyproject.toml"),
        ("pyproject.toml", "src/pack/game.py", "pyproject.toml"),
        ("pyproject.toml", "src/game.py", "pyproject.toml"),
        ("pyproject.toml", "pack/inner/game.py", "pyproject.toml"),
        ("other.toml", "pack/game.py", "pack/pyproject.toml"),
        ("pyproject.toml", "games/game.py", "games/pyproject.toml"),
    ],
)
def test_no_second_file_is_made_in_a_package_whose_project_has_one(
    project: str, game: str, place: str, make_project: Project
) -> None:
    packages = {f"{folder}/__init__.py": "" for folder in ("pack", "src/pack", "pack/inner")}
    folder = make_project({project: '[project]\nname = "x"\n', game: PLAYS, **packages})
    assert find_description_place(find_source(str(folder / game))).path == folder / place
