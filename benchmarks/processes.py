"""A process and all that it started, and the memory they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

PROC = Path("/proc")


def descendants(pid: int, parents: Mapping[int, int]) -> list[int]:
    """Return `pid` and every process below it, given each process's parent."""
    found = [pid]
    for process in found:
        found.extend(child for child, parent in parents.items() if parent == process)
    return found


def read_parents() -> dict[int, int]:
    """Return the parent of every process of this machine."""
    return dict(_read_parents())


def _read_parents() -> Iterator[tuple[int, int]]:
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:  # it has ended
                continue
            yield int(folder.name), int(text.rpartition(")")[2].split()[1])


def sum_pss(pid: int) -> int | None:
    """Return the proportional memory (PSS) of a process and all below it in bytes; None where it cannot be read.

    Memory shared by several processes is counted once, divided among those that share it.
    """
    if not (PROC / "self" / "smaps_rollup").exists():
        return None
    return sum(_read_pss(process) for process in descendants(pid, read_parents()))


def _read_pss(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
