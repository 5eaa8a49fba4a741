from __future__ import annotations

from collections.abc import Iterator

import pytest

import retro_gamer.learning  # noqa: F401  # before any test imports torch: it sets how torch's threads wait
from tests import read_only
from tests.cluster import hosts


def why_no_gpu() -> str | None:
    import torch

    return None if torch.cuda.is_available() else "torch finds no GPU here"


NEEDS = {
    "hosts": ("hosts of their own", hosts.why_not),
    "mounts": ("mounts of their own", read_only.why_not),
    "gpu": ("a GPU", why_no_gpu),
}
"""By marker: what not every machine offers a test, and the function that returns why this one does not."""
LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need what this machine does not offer, and keep the reason for the summary."""
    left_out = config.stash.setdefault(LEFT_OUT, [])
    for marker, (what, why_not) in NEEDS.items():
        needing = [item for item in items if item.get_closest_marker(marker)]
        reason = why_not() if needing else None
        if reason is not None:
            config.hook.pytest_deselected(items=needing)
            items[:] = [item for item in items if item not in needing]
            left_out.append(f"{len(needing)} tests that need {what} left out: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(LEFT_OUT, []):
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """Ray, started once for all tests that need it; trainings within them use this one."""
    from retro_gamer.backends.ray.engine import start_local_ray

    with start_local_ray(n_cpus=4):
        yield
