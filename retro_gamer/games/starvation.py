"""How long a process had work to do and no processor to do it on: on a busy machine, time that is not its own fault."""

from __future__ import annotations

_NANOSECOND = 1e-9


def starved_seconds(process: int | str = "self") -> float:
    """Return the seconds that the main thread of a process has waited for a processor since it began.

    0 where the system does not tell (it is Linux that does), and once the process is gone.
    """
    try:
        with open(f"/proc/{process}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) * _NANOSECOND
    except (OSError, IndexError, ValueError):
        return 0.0
