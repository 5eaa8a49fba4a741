"""Result files: one JSON file a part, with what was measured, where and when."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "benchmarks" / "results"
"""Result files that the documents are made from; they are under version control."""
WORK = ROOT / "build" / "benchmarks"
"""Where results are written; `--keep` moves them to KEPT."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """The result of one part. `values` are plain values, `error` is the reason if there are none."""

    part: str
    values: Mapping[str, Any]
    machine: Mapping[str, Any]
    quiet: Mapping[str, float]
    seconds: float
    quick: bool = False
    error: str | None = None


def file_of(folder: Path, part: str) -> Path:
    """Return the file of a part; a part's name may hold slashes."""
    return folder / f"{part.replace('/', '--')}.json"


def save_record(folder: Path, record: Record) -> Path:
    """Write `record` whole or not at all and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = file_of(folder, record.part)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(dataclasses.asdict(record), indent=1, sort_keys=True, allow_nan=False) + "\n")
    os.replace(temporary, path)
    return path


def load_record(folder: Path, part: str) -> Record | None:
    """Return the record of a part, or None if there is none."""
    path = file_of(folder, part)
    return Record(**json.loads(path.read_text())) if path.is_file() else None


def load_records(folder: Path) -> dict[str, Record]:
    """Return all records in a folder by part."""
    found = [Record(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
    return {record.part: record for record in found}


def format_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    names = list(header)
    lines = [names, ["---"] * len(names), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def format_number(value: float | None, digits: int = 3) -> str:
    """Return a number with `digits` significant digits, thousands apart, or a dash for None."""
    if value is None:
        return "—"
    if value == 0:
        return "0"
    size = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    if size >= digits:
        return f"{round(value):,}"
    return f"{value:,.{max(0, digits - max(size, 1))}f}" if abs(value) >= 1 else f"{value:.{digits}g}"
