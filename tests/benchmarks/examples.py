"""Records made by hand, so that the tables made from them are known."""

from __future__ import annotations

from typing import Any

from benchmarks.records import Record

MACHINE = {
    "processor": "A Processor",
    "cores": 2,
    "memory_gib": 24.0,
    "python": "3.11.1",
    "versions": {"torch": "2.13.0"},
    "commit": "abc1234",
    "date": "2026-01-02 03:04 UTC",
}
QUIET = {"others_cores": 0.02, "load_average": 0.1}


def make_record(part: str, values: dict[str, Any], **changed: Any) -> Record:
    fields: dict[str, Any] = {"machine": MACHINE, "quiet": QUIET, "seconds": 1.0, **changed}
    return Record(part=part, values=values, **fields)


def by_part(*records: Record) -> dict[str, Record]:
    return {record.part: record for record in records}


def cells(table: str) -> list[list[str]]:
    """Return the cells of a Markdown table, without its header."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
