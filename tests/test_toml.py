from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest

from retro_gamer.errors import ConfigurationError
from retro_gamer.toml import parse_toml, read_text, read_toml, to_toml


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (3, "3"),
        (-7, "-7"),
        (0.001, "0.001"),
        (1e-7, "0.0000001"),
        (1e22, "10000000000000000000000.0"),
        (2.0, "2.0"),
        ("a", '"a"'),
        ([], "[]"),
        (("@", '"', "\\"), '["@", "\\"", "\\\\"]'),
        ([1, 2], "[1, 2]"),
        ("█", '"█"'),
        ("\x1b\n", '"\\u001b\\n"'),
        ("\x7f\x9b\u202e", '"\\u007f\\u009b\\u202e"'),
        ("👩\u200d🚀", '"👩\u200d🚀"'),
        ("\U000e0001", '"\\U000e0001"'),
        ({"you win": 1, "a-b": "c"}, '{ "you win" = 1, a-b = "c" }'),
    ],
)
def test_values_are_spelled_as_toml_reads_them(value: object, text: str) -> None:
    assert to_toml(value) == text  # type: ignore[arg-type]
    read = tomllib.loads(f"x = {text}")["x"]
    assert read == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize("number", [math.pi, 1 / 3, 1e-300, 5e-324, 1.7976931348623157e308, -0.1])
def test_no_digit_of_a_number_is_lost(number: float) -> None:
    assert "e" not in to_toml(number)
    assert tomllib.loads(f"x = {to_toml(number)}")["x"] == number


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse_toml("\ufeffx = 1\r\n", Path("config.toml")) == {"x": 1}


def test_bytes_that_are_no_text_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b'x = "caf\xe9"\n')
    with pytest.raises(ConfigurationError, match="UTF-8") as caught:
        read_text(path)
    assert "byte 8" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "value"),
    [
        ("a = 1\nb = = 2\n", 2, "b = = 2"),
        ("a = 1\na = 2\n", 2, "a = 2"),
        ("a = [1,\n2\n\n", 3, ""),
        ('a = "open\n', 1, 'a = "open'),
        ("\x1b[2J = 1", 1, "\x1b[2J = 1"),
        ("", 0, ""),
    ],
)
def test_the_line_that_is_not_toml_is_shown(text: str, line: int, value: str) -> None:
    if not text:
        assert parse_toml(text, Path("config.toml")) == {}
        return
    with pytest.raises(ConfigurationError) as caught:
        parse_toml(text, Path("config.toml"))
    problem = caught.value.problems[0]
    assert problem.field == f"config.toml, line {line}"
    assert problem.value == value
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000 + "]" * 5000, "a = " + "{b = " * 5000 + "1" + "}" * 5000])
def test_a_file_nested_thousands_deep_is_refused_cleanly(text: str) -> None:
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        parse_toml(text, Path("config.toml"))


def test_an_enormous_number_is_refused_cleanly() -> None:
    with pytest.raises(ConfigurationError, match="is not TOML"):
        parse_toml("a = " + "9" * 10_000, Path("config.toml"))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_toml(tmp_path / "missing.toml")
