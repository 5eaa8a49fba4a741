"""How much of this machine is ours."""

from __future__ import annotations

import math
import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP_MEMORY = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))
CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
CGROUP_V1 = (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))


def count_cpus() -> int:
    """Return the processors this process may use: by affinity and by the limit of its control group.

    On a server shared by a class each student gets what the administrator set, not the whole machine.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _read_quota()
    return max(1, affinity if quota is None else min(affinity, math.floor(quota)))


def _read_quota() -> float | None:
    if CGROUP_V2.is_file():
        limit, period_text = CGROUP_V2.read_text().split()
        return None if limit == "max" else int(limit) / int(period_text)
    if all(path.is_file() for path in CGROUP_V1):
        used, period = (int(path.read_text()) for path in CGROUP_V1)
        return used / period if used > 0 else None
    return None


def available_bytes() -> int | None:
    """Return the memory that can still be taken here, by the machine and its control group; None if unknown."""
    if not MEMINFO.is_file():
        return None
    fields = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
    free = 1024 * int(fields["MemAvailable"].split()[0])
    limit, used = (path.read_text().strip() if path.is_file() else "max" for path in CGROUP_MEMORY)
    return free if limit == "max" else max(0, min(free, int(limit) - int(used)))
