"""Numbers, durations and sizes as every command prints them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def number(value: float | None) -> str:
    """Return an integer in full, any other number to four significant digits, or a dash if there is none."""
    if isinstance(value, int):
        return f"{value:,}"
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def column_number(value: float) -> str:
    """Return a number for a column: its decimals depend on its size alone, so that similar numbers line up."""
    if not math.isfinite(value):
        return "-"
    decimals = 1 if abs(value) >= 10 or value == 0 else 2 if abs(value) >= 1 else 4
    return f"{value:,.{decimals}f}"


def count(n: int, noun: str) -> str:
    """Return a count with its noun, such as "1 turn" or "1,330 turns"."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def clock(seconds: float) -> str:
    """Return a duration as h:mm:ss or m:ss, or a dash if it is unknown."""
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def file_size(size_bytes: int) -> str:
    """Return the size of a file in bytes, kB or MB."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    return f"{size_bytes / 1e3:.1f} kB" if size_bytes < 1e6 else f"{size_bytes / 1e6:,.1f} MB"


def without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of `values` with None in place of each number that JSON cannot represent."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
