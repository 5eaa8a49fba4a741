from __future__ import annotations

import dataclasses
import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from retro_gamer.errors import ConfigurationError, GameNotFoundError, RunNotFoundError, UsageError
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.find import GameSource
from retro_gamer.hyperparameters import SETTINGS, Hyperparameters
from retro_gamer.run.config import RunConfig, load_config, write_config

METADATA = GameMetadata(
    actions=(
        "KEY_UP",
        "a",
    ),
    reward="score",
    board_size=(32, 16),
)


def make_config(**changed: Any) -> RunConfig:
    values: dict[str, Any] = {
        "source": GameSource(module="retro.examples.snake"),
        "metadata": METADATA,
        "hyperparameters": Hyperparameters(),
    }
    return RunConfig(**(values | changed))


def _rewrite(run_dir: Path, old: str, new: str) -> None:
    path = run_dir / "config.toml"
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


def _everything_off_its_default() -> Hyperparameters:
    values: dict[str, Any] = {}
    for name, declared in SETTINGS.items():
        if declared.choices:
            values[name] = declared.choices[-1]
        elif declared.kind is bool:
            values[name] = not declared.default
        elif declared.kind is int:
            values[name] = declared.default + 1
        else:
            values[name] = declared.default * 0.7 + 1e-7
    return Hyperparameters.from_mapping(values)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"hyperparameters": _everything_off_its_default()},
        {"source": GameSource(module="my.game", factory="my.game:Build.snake", search_path="/somewhere/else")},
        {"source": None},
        {
            "metadata": GameMetadata(
                actions=(
                    "'",
                    '"',
                    "\\",
                    "é",
                ),
                reward="my score\n",
                character_set=(
                    "█",
                    "\\",
                    '"',
                ),
                spatial=False,
                observe_state=(
                    "lives",
                    "",
                ),
                factory="a:b",
                player="Ünit [1]",
                board_size=(1, 400),
            )
        },
        {"metadata": GameMetadata(actions=("a",), reward="r")},
        {"created": "2026-01-31T12:00:00+01:00", "version": "0.0.9"},
    ],
)
def test_what_is_written_is_loaded(tmp_path: Path, changed: dict[str, Any]) -> None:
    config = make_config(**changed)
    path = write_config(tmp_path / "new" / "run", config, origin="[tool.retro-gamer] of\n/x/\x1bpyproject.toml")
    assert path == tmp_path / "new" / "run" / "config.toml"
    assert load_config(path.parent) == config
    assert load_config(str(path.parent)) == config


def test_a_game_given_by_path_moves_with_its_run(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "game.py").write_text("")
    source = GameSource(module="game", path=str(project / "game.py"), search_path=str(project))
    write_config(project / "runs" / "one", make_config(source=source))
    shutil.move(project, tmp_path / "moved")
    found = load_config(tmp_path / "moved" / "runs" / "one").require_source()
    assert found == GameSource(
        module="game", path=str(tmp_path / "moved" / "game.py"), search_path=str(tmp_path / "moved")
    )


def test_a_game_that_is_gone_is_said_to_be_where_it_was_looked_for(tmp_path: Path) -> None:
    source = GameSource(module="game", path=str(tmp_path / "game.py"), search_path=str(tmp_path))
    write_config(tmp_path / "run", make_config(source=source))
    config = load_config(tmp_path / "run")
    assert config.game == str(tmp_path / "game.py"), "info still names it"
    with pytest.raises(GameNotFoundError, match="no longer exists at") as caught:
        config.require_source()
    assert str(tmp_path / "game.py") in str(caught.value)


def test_a_function_given_in_python_can_be_trained_but_not_found_again(tmp_path: Path) -> None:
    write_config(tmp_path, make_config(source=None))
    config = load_config(tmp_path)
    assert config.game == "a function given in Python"
    with pytest.raises(GameNotFoundError, match=r"module = "):
        config.require_source()


def test_a_path_that_is_no_unicode_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = GameSource(module="game", path=os.fsdecode(b"/tmp/caf\xe9.py"), search_path="/tmp")
    with pytest.raises(UsageError, match="Unicode"):
        write_config(tmp_path, make_config(source=source))
    assert os.listdir(tmp_path) == []


def test_a_marked_file_with_windows_line_ends_is_read(tmp_path: Path) -> None:
    config = make_config(hyperparameters=Hyperparameters(gamma=0.5))
    path = write_config(tmp_path, config)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_config(tmp_path) == config


def test_settings_that_are_left_out_have_their_default(tmp_path: Path) -> None:
    text = '[run]\nformat_version = 1\n[game]\nmodule = "g"\n[metadata]\nactions = ["a"]\nreward = "r"\n'
    (tmp_path / "config.toml").write_text(text)
    config = load_config(tmp_path)
    assert config.hyperparameters == Hyperparameters()
    assert config.metadata == GameMetadata(actions=("a",), reward="r")


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    write_config(tmp_path, make_config())
    _rewrite(tmp_path, "gamma = 0.99", 'gamma = "high"')
    _rewrite(tmp_path, "\nbatch_size = 64", "\nbatch_sise = 64")
    _rewrite(tmp_path, "spatial = true", "spatail = 1")
    _rewrite(tmp_path, 'reward = "score"', "reward = 5")
    _rewrite(tmp_path, "[game]\nmodule", "[game]\nmodul")
    _rewrite(tmp_path, "[run]", "[metdata]\nx = 1\n[run]\nauthor = 1")
    with pytest.raises(ConfigurationError) as caught:
        load_config(tmp_path)
    fields = {problem.field for problem in caught.value.problems}
    assert fields == {
        "gamma", "batch_sise", "spatail", "reward", "game.modul", "game.module", "metdata", "run.author",
    }  # fmt: skip
    said = str(caught.value)
    for hint in ("config.toml", "did you mean batch_size", "did you mean spatial", "rename it to module", "metadata"):
        assert hint in said
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("metadata = 5", "metadata"),
        ("hyperparameters = []", "hyperparameters"),
        ('game = "snake"', "game"),
        ("[game]\npath = 5\nmodule = 'x'", "game.path"),
        ("[game]\nmodule = ''", "game.module"),
        ('[game]\nmodule = "a\\u0000b"', "game.module"),
        ("[hyperparameters]\n" + "".join(f"x{i} = 1\n" for i in range(5000)), "hyperparameters"),
        ("[metadata]\n" + "".join(f"x{i} = 1\n" for i in range(5000)), "metadata"),
        ("[metadata]\nactions = [" + '"a",' * 100_000 + "]", "actions"),
        ("[metadata]\nactions = " + "[" * 100 + "]" * 100, "actions"),
        ("[hyperparameters]\nseed = " + "9" * 4000, "seed"),
        ("[hyperparameters]\nseed = 1979-05-27", "seed"),
        ("[hyperparameters]\nseed.deeper.still = 1", "seed"),
        ("[hyperparameters]\ngamma = nan", "gamma"),
    ],
)
def test_tables_that_hold_something_else_are_refused(tmp_path: Path, content: str, field: str) -> None:
    (tmp_path / "config.toml").write_text(f"run.format_version = 1\n{content}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_config(tmp_path)
    assert field in {problem.field for problem in caught.value.problems}
    assert len(caught.value.problems) < 50
    assert len(str(caught.value)) < 5000


def test_nothing_of_the_file_reaches_the_terminal_raw(tmp_path: Path) -> None:
    names = ('"\\u001b[2Ja" = "\\u001b[31m"\n', '"\\u009bb" = 2\n')
    text = "".join(
        f"[{table}]\n{''.join(names)}" for table in ("metadata", "hyperparameters", "game", "top\u200bx".strip())
    )
    text = text.replace("[top\u200bx]", '["\\u001b]0;"]')
    (tmp_path / "config.toml").write_text(f"run.format_version = 1\n{text}")
    with pytest.raises(ConfigurationError) as caught:
        load_config(tmp_path)
    said = str(caught.value)
    assert said.replace("\n", "").isprintable()
    assert r"\x1b[2J" in said


@pytest.mark.parametrize("text", ["a = " + "[" * 1000 + "]" * 1000, "[" + ".".join("a" * 3000) + "]"])
def test_a_file_nested_a_thousand_deep_ends_in_a_message(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(UsageError):
        load_config(tmp_path)


def test_a_run_of_the_published_package_is_recognised(tmp_path: Path) -> None:
    text = '[metadata]\nactions = ["a"]\nreward = "score"\n[hyperparameters]\ngamma = 0.9\n'
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(RunNotFoundError, match="PyPI") as caught:
        load_config(tmp_path)
    assert "format_version" in str(caught.value)
    assert "retro-gamer create" in str(caught.value)


@pytest.mark.parametrize("version", ["2", '"1"', "true", "1.0", "[]"])
def test_a_run_of_another_format_is_refused(tmp_path: Path, version: str) -> None:
    write_config(tmp_path, make_config())
    _rewrite(tmp_path, "format_version = 1", f"format_version = {version}")
    with pytest.raises(RunNotFoundError, match="format_version"):
        load_config(tmp_path)


def test_a_directory_without_settings_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        load_config(tmp_path)


def test_the_file_is_plain_toml_with_every_setting(tmp_path: Path) -> None:
    values = tomllib.loads(write_config(tmp_path, make_config()).read_text())
    assert list(values) == ["run", "game", "metadata", "hyperparameters"]
    assert values["hyperparameters"] == dataclasses.asdict(Hyperparameters())
    assert values["metadata"] == METADATA.to_mapping()
    assert values["game"] == {"module": "retro.examples.snake"}
    assert values["run"]["format_version"] == 1
