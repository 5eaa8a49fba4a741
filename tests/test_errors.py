from __future__ import annotations

import pickle

import pytest

from retro_gamer import errors
from retro_gamer.errors import ConfigurationError, Problem, RetroGamerError, UsageError, first_line, printable, quoted

TREE = (errors.__doc__ or "").split("::", 1)[1]
CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, RetroGamerError)
}


def problem(value: object) -> Problem:
    return Problem(field="gamma", value=value, rule="must be small", remedy="gamma = 0.99")


def test_every_error_stands_in_the_tree_with_its_status() -> None:
    depths = {name: next(line.index(name) for line in TREE.splitlines() if name in line) for name in CLASSES}
    for name, error in CLASSES.items():
        usage = issubclass(error, UsageError)
        assert error.exit_code == (2 if usage else 1)
        assert depths[name] - depths["RetroGamerError"] == 4 * (len(error.__mro__) - len(RetroGamerError.__mro__)), name


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (2.0, "gamma = 2.0"),
        ("a\x1b", "gamma = 'a\\x1b'"),
        (True, "gamma = true"),
        (False, "gamma = false"),
        (None, "gamma"),
        ("x" * 100, f"gamma = '{'x' * 58}…"),
    ],
)
def test_a_problem_says_field_value_rule_and_remedy(value: object, line: str) -> None:
    assert str(problem(value)).splitlines() == [line, "    must be small", "    try: gamma = 0.99"]


@pytest.mark.parametrize(("count", "title"), [(1, "1 problem in here:"), (2, "2 problems in here:")])
def test_all_problems_are_shown_together(count: int, title: str) -> None:
    lines = str(ConfigurationError([problem(number) for number in range(count)], "here")).splitlines()
    assert lines[0] == title
    assert [line for line in lines if "gamma = " in line and "try" not in line] == [
        f"  gamma = {number}" for number in range(count)
    ]


class Unspeakable:
    def __repr__(self) -> str:
        raise KeyError("no words")


def test_what_cannot_be_spelled_is_named_by_its_type() -> None:
    assert quoted(16**5000) == "a value of type int"
    assert quoted([Unspeakable()]) == "a value of type list"


@pytest.mark.parametrize(
    ("message", "line"),
    [("\n  one\ntwo", "one"), ("", "ValueError"), ("\x1b[2Jx", "\\x1b[2Jx"), ("x" * 600, "x" * 500)],
)
def test_only_the_first_line_of_another_programs_message_is_quoted(message: str, line: str) -> None:
    assert first_line(ValueError(message)) == line


def test_a_configuration_error_crosses_processes() -> None:
    error = ConfigurationError([problem(3)], "here")
    back = pickle.loads(pickle.dumps(error))
    assert str(back) == str(error)
    assert back.problems == error.problems


def test_nothing_reaches_a_terminal_raw() -> None:
    assert printable("a\tb\né█\x1b[31m\x07\u202e") == "a\tb\né█\\x1b[31m\\x07\\u202e"
    assert quoted("\x1b[2J") == "'\\x1b[2J'"
    assert quoted("abcdef", limit=5) == "'abc…"
