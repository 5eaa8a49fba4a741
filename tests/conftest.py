from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import retro_gamer.dqn  # noqa: F401  # before any test imports torch: it settles how torch's threads wait

from . import read_only
from .cluster import hosts

if TYPE_CHECKING:
    from retro_gamer.training.ray.engine import LocalRay


def why_no_gpu() -> str | None:
    import torch

    return None if torch.cuda.is_available() else "torch finds no GPU here"


WHY_NOT = {"hosts": hosts.why_not, "mounts": read_only.why_not, "gpu": why_no_gpu}
"""What not every machine lets a test do, by marker, and what says why."""
LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need what this machine does not allow, and remember why."""
    told = config.stash.setdefault(LEFT_OUT, [])
    for marker, why_not in WHY_NOT.items():
        needing = [item for item in items if item.get_closest_marker(marker)]
        reason = why_not() if needing else None
        if reason is not None:
            config.hook.pytest_deselected(items=needing)
            items[:] = [item for item in items if item not in needing]
            told.append(f"{len(needing)} tests that need {marker} of their own left out: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[LEFT_OUT]:
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[LocalRay]:
    """Ray, started once for all tests that need it; trainings within them use this one."""
    from retro_gamer.training.ray.engine import LocalRay

    with LocalRay(n_cpus=4) as engine:
        yield engine
