from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from retro_gamer.errors import ConfigurationError, RunNotFoundError
from retro_gamer.run.config import load_config, update_config, write_config
from tests.run.test_config import make_config

HAND_EDITED = """\
# my run, do not touch

[run]
format_version = 1   # by the program

[hyperparameters]    # out of order
gamma   =  0.9       # I like 0.9
# seed = 3
batch_size = 0x20
memory_capacity = 50_000

[metadata]
actions = [
    "KEY_UP",    # jump
    "KEY_DOWN",  # duck
]
'reward' = 'score'
character_set = [
  "@",  # the head

  "*",
]

[game]
module = "retro.examples.snake"
"""


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode())
    return path


def _changed_lines(old: str, new: str) -> list[str]:
    lines = difflib.ndiff(old.splitlines(keepends=True), new.splitlines(keepends=True))
    return [line for line in lines if line[0] in "+-"]


def test_only_the_changed_line_changes(tmp_path: Path) -> None:
    path = _write(tmp_path, HAND_EDITED)
    assert update_config(tmp_path, {("hyperparameters", "gamma"): 0.00001}) is True
    assert _changed_lines(HAND_EDITED, path.read_text()) == [
        "- gamma   =  0.9       # I like 0.9\n",
        "+ gamma   =  0.00001       # I like 0.9\n",
    ]


def test_a_list_that_grows_keeps_its_layout_and_comments(tmp_path: Path) -> None:
    path = _write(tmp_path, HAND_EDITED)
    update_config(tmp_path, {("metadata", "character_set"): ("@", "*", "█")})
    changed = _changed_lines(HAND_EDITED, path.read_text())
    assert [line for line in changed if line.startswith("-")] == []
    assert "".join(changed).count("█") == 1
    assert tomllib.loads(path.read_text())["metadata"]["character_set"] == ["@", "*", "█"]


def test_what_is_new_is_added_to_its_table(tmp_path: Path) -> None:
    path = _write(tmp_path, HAND_EDITED)
    update_config(tmp_path, {("metadata", "board_size"): [32, 16], ("hyperparameters", "seed"): 7, ("extra", "a"): "x"})
    before, after = tomllib.loads(HAND_EDITED), tomllib.loads(path.read_text())
    before["metadata"]["board_size"] = [32, 16]
    before["hyperparameters"]["seed"] = 7
    before["extra"] = {"a": "x"}
    assert after == before
    assert [line for line in _changed_lines(HAND_EDITED, path.read_text()) if line.startswith("-")] == []


def test_values_that_are_there_are_not_written_again(tmp_path: Path) -> None:
    path = _write(tmp_path, HAND_EDITED)
    before = path.stat()
    changes: dict[tuple[str, str], Any] = {
        ("hyperparameters", "batch_size"): 32,
        ("metadata", "character_set"): ("@", "*"),
        ("metadata", "reward"): "score",
    }
    assert update_config(tmp_path, changes) is False
    assert path.read_text() == HAND_EDITED
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert update_config(tmp_path, {}) is False


def test_a_whole_number_that_stands_for_a_float_stays_as_it_was_written(tmp_path: Path) -> None:
    path = _write(tmp_path, "[hyperparameters]\ngamma = 1\n")
    assert update_config(tmp_path, {("hyperparameters", "gamma"): 1.0}) is False
    assert path.read_text() == "[hyperparameters]\ngamma = 1\n"


@pytest.mark.parametrize(("old", "new"), [(1, True), (True, 1)])
def test_true_and_one_are_different_values(tmp_path: Path, old: Any, new: Any) -> None:
    path = _write(tmp_path, f"[a]\nb = {str(old).lower()}\n")
    update_config(tmp_path, {("a", "b"): new})
    assert type(tomllib.loads(path.read_text())["a"]["b"]) is type(new)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_the_byte_order_mark_stay(tmp_path: Path, mark: str) -> None:
    text = mark + HAND_EDITED.replace("\n", "\r\n")
    path = _write(tmp_path, text)
    update_config(
        tmp_path, {("hyperparameters", "gamma"): 0.5, ("hyperparameters", "seed"): 1, ("metadata", "player"): "Me"}
    )
    new = path.read_bytes().decode()
    assert new.count("\n") == new.count("\r\n") == text.count("\n") + 2
    assert new.startswith(mark + "# my run")
    expected = text.replace("0.9  ", "0.5  ")
    assert [line for line in _changed_lines(expected, new) if line.startswith("-")] == []


@pytest.mark.parametrize(
    "text",
    [
        'metadata = {actions = ["a"], reward = "r"}\n[hyperparameters]\ngamma = 0.9\n',
        'metadata.actions = ["a"]\nmetadata.reward = "r"\nhyperparameters.gamma = 0.9\n',
        '[metadata]\nactions = ["a"]\nreward = "r"\n[hyperparameters]\ngamma = 0.9',
        '"metadata" = {}\n\n[ hyperparameters ]\n"gamma" = 0.9 # x\n[metadata.odd]\na=1\n'.replace(
            '"metadata" = {}\n', ""
        ),
        "",
        "# only a comment",
    ],
)
def test_any_way_of_writing_a_table_is_understood(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path, text)
    changes: dict[tuple[str, str], Any] = {
        ("metadata", "character_set"): ["@"],
        ("metadata", "reward"): "score",
        ("hyperparameters", "gamma"): 0.5,
        ("hyperparameters", "seed"): 3,
    }
    update_config(tmp_path, changes)
    expected = tomllib.loads(text)
    for (table, name), value in changes.items():
        expected.setdefault(table, {})[name] = value
    assert tomllib.loads(path.read_text()) == expected
    assert update_config(tmp_path, changes) is False


def test_every_value_survives_the_way_there_and_back(tmp_path: Path) -> None:
    path = _write(tmp_path, HAND_EDITED)
    values: list[Any] = ['"', "\\", "\x1b", "é\n", 0.1, 1e-9, 1e22, -3, True, [], ["'", "█"], [1, 2]]
    for value in values:
        update_config(tmp_path, {("metadata", "x"): value})
        assert tomllib.loads(path.read_text())["metadata"]["x"] == value


def test_a_generated_file_is_updated_as_training_does(tmp_path: Path) -> None:
    path = write_config(tmp_path, make_config())
    before = path.read_text()
    update_config(tmp_path, {("metadata", "character_set"): ["*", "@"], ("metadata", "board_size"): (32, 16)})
    assert _changed_lines(before, path.read_text()) == ['+ character_set = ["*", "@"]\n']
    above, below = path.read_text().split('character_set = ["*", "@"]\n')
    assert above.endswith("writes it here.\n")
    assert below.startswith("\n[hyperparameters]\n")
    assert load_config(tmp_path).metadata.character_set == ("*", "@")
    update_config(tmp_path, {("metadata", "character_set"): ["*", "@", "x"]})
    assert load_config(tmp_path).metadata.character_set == ("*", "@", "x")


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path, HAND_EDITED)

    def fail(old: Path, new: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        update_config(tmp_path, {("hyperparameters", "gamma"): 0.5})
    assert path.read_text() == HAND_EDITED
    assert os.listdir(tmp_path) == ["config.toml"]


def test_what_is_no_toml_is_not_touched(tmp_path: Path) -> None:
    path = _write(tmp_path, "gamma = = 1\n")
    with pytest.raises(ConfigurationError, match="line 1"):
        update_config(tmp_path, {("hyperparameters", "gamma"): 0.5})
    assert path.read_text() == "gamma = = 1\n"


def test_without_a_run_there_is_nothing_to_change(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        update_config(tmp_path, {("hyperparameters", "gamma"): 0.5})
