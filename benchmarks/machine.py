"""Where and when a number was measured: the machine, how busy it was, and the versions in use."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from retro_gamer.training.planning.measurements import count_cpus

ROOT = Path(__file__).parent.parent
PACKAGES = ("numpy", "ray", "retro-games", "torch")
MATRIX_SIDE = 1024
BUSY_SHARE = 0.25
"""A machine of which others used more than this share of a core, each, was busy."""


def describe_machine() -> dict[str, Any]:
    """Return the machine, the versions, the commit and the date, as plain values."""
    return {
        "processor": _read_processor(),
        "cores": count_cpus(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "commit": _read_commit(),
        "date": datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _read_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _read_commit() -> str:
    """Return the commit of this checkout, with a plus if files were changed since, or "unknown" outside of one."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def measure_quiet(seconds: float = 1.0) -> dict[str, float]:
    """Return how busy the machine is without us: cores in use by others over `seconds`, and the load average.

    Nothing of ours may run meanwhile.
    """
    before = _busy_seconds()
    time.sleep(seconds)
    cores = (_busy_seconds() - before) / seconds
    return {"others_cores": round(cores, 2), "load_average": round(os.getloadavg()[0], 2)}


def _busy_seconds() -> float:
    """Return the processor seconds that were not idle since the machine started, all cores; 0 where unknown."""
    try:
        fields = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return 0.0
    idle_and_waiting = fields[3] + fields[4]
    return (sum(fields) - idle_and_waiting) / os.sysconf("SC_CLK_TCK")


def is_busy(quiet: dict[str, float], cores: int) -> bool:
    """Return whether others used so much of the machine that a timing taken then is worth nothing."""
    return quiet["others_cores"] > BUSY_SHARE * cores


def measure_gflops(n_threads: int, seconds: float = 0.5) -> float:
    """Return the best 10^9 floating-point operations a second that torch's matrix product reaches here (float32)."""
    import torch

    torch.set_num_threads(n_threads)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(MATRIX_SIDE, MATRIX_SIDE, generator=generator) for _ in range(2))
    out = torch.empty_like(a)
    times: list[float] = []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends or len(times) < 3:
        started = time.perf_counter()
        torch.mm(a, b, out=out)
        times.append(time.perf_counter() - started)
    return float(2 * MATRIX_SIDE**3 / np.min(times) / 1e9)
