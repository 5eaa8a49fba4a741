from __future__ import annotations

import math

from retro_gamer.cli.display.numbers import clock, column_number, count, file_size, number, without_nan


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0.0, 12.25, -1234.5, 0.00012345, math.inf)] == [
        "0", "12.25", "-1,234", "0.0001234", "-",
    ]  # fmt: skip
    assert [clock(seconds) for seconds in (0, 59.6, 3600, math.nan)] == ["0:00", "1:00", "1:00:00", "-"]


def test_integers_are_shown_in_full_and_what_is_missing_is_a_dash() -> None:
    assert [number(value) for value in (0, 1234567, -12, 10**20, None, math.nan)] == [
        "0", "1,234,567", "-12", "100,000,000,000,000,000,000", "-", "-",
    ]  # fmt: skip


def test_in_a_column_similar_numbers_have_the_same_decimals() -> None:
    assert [column_number(value) for value in (1480.5, 12.34, 0.0, -1.5, 0.5, math.nan)] == [
        "1,480.5", "12.3", "0.0", "-1.50", "0.5000", "-",
    ]  # fmt: skip


def test_a_count_has_the_number_of_its_noun() -> None:
    assert [count(n, "turn") for n in (0, 1, 1330)] == ["0 turns", "1 turn", "1,330 turns"]


def test_sizes_of_files_have_a_unit() -> None:
    assert [file_size(n) for n in (999, 1000, 1_234_567, 12_345_678_901)] == [
        "999 B", "1.0 kB", "1.2 MB", "12,345.7 MB",
    ]  # fmt: skip


def test_what_json_cannot_represent_is_none() -> None:
    assert without_nan({"a": math.nan, "b": -math.inf, "c": 1.5, "d": "nan", "e": 3}) == {
        "a": None, "b": None, "c": 1.5, "d": "nan", "e": 3,
    }  # fmt: skip
