from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.records import file_of, format_number, format_table, load_record, load_records, save_record
from tests.benchmarks.examples import by_part, make_record


def test_a_saved_record_is_loaded_as_it_was(tmp_path: Path) -> None:
    record = make_record("reach/snake/0", {"score": 1.5, "none": None}, error=None, quick=True)
    save_record(tmp_path / "new", record)
    assert load_record(tmp_path / "new", "reach/snake/0") == record
    assert load_record(tmp_path / "new", "reach/snake/1") is None
    assert load_records(tmp_path / "new") == by_part(record)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [file_of(tmp_path, "reach/snake/0").name]


def test_a_value_that_json_has_no_word_for_is_refused_and_nothing_is_overwritten(tmp_path: Path) -> None:
    record = make_record("part", {"score": 1.0})
    save_record(tmp_path, record)
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_record(tmp_path, make_record("part", {"score": float("nan")}))
    assert load_record(tmp_path, "part") == record


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (0, "0"),
        (1234.56, "1,235"),
        (999.9, "1,000"),
        (98.76, "98.8"),
        (9.876, "9.88"),
        (0.01234, "0.0123"),
        (-12.34, "-12.3"),
    ],
)
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert format_number(value) == text


def test_table() -> None:
    assert format_table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
