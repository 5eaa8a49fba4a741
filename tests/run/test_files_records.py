from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from retro_gamer.run.files import read_record


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    job: str | None = None
    notes: tuple[str, ...] = ()
    files: Mapping[str, Inner] = dataclasses.field(default_factory=dict)
    progress: Mapping[str, Any] | None = None
    is_done: bool = False


def test_a_record_is_read_with_its_parts() -> None:
    values = {
        "name": "a", "job": "b", "notes": ["c", "d"], "files": {"e": {"size": 3}}, "progress": {"f": [1]},
        "is_done": True,
    }  # fmt: skip
    assert read_record(Outer, values) == Outer(
        name="a", job="b", notes=("c", "d"), files={"e": Inner(size=3)}, progress={"f": [1]}, is_done=True
    )
    assert read_record(Outer, {"name": "a", "job": None}) == Outer(name="a")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([], "Outer is not an object"),
        ({"name": 3}, "name must be str, not int"),
        ({"name": "a", "job": 3}, "job must be str, not int"),
        ({"name": "a", "notes": "text"}, "notes"),
        ({"name": "a", "notes": ["b", 3]}, "notes must be str, not int"),
        ({"name": "a", "files": {"e": {"size": True}}}, "size must be int, not bool"),
        ({"name": "a", "files": {"e": 3}}, "Inner is not an object"),
        ({"name": "a", "files": ["e"]}, "files"),
        ({"name": "a", "is_done": 1}, "is_done must be bool, not int"),
    ],
)
def test_a_value_of_another_type_is_named(values: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        read_record(Outer, values)


@pytest.mark.parametrize("values", [{}, {"name": "a", "more": 3}])
def test_fields_that_are_missing_or_unknown_are_refused(values: object) -> None:
    with pytest.raises(TypeError):
        read_record(Outer, values)
