from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import retro_gamer.dqn  # noqa: F401  # before any test imports torch: it settles how torch's threads wait

if TYPE_CHECKING:
    from retro_gamer.training.ray.engine import LocalRay


@pytest.fixture(scope="session")
def local_ray() -> Iterator[LocalRay]:
    """Ray, started once for all tests that need it; trainings within them use this one."""
    from retro_gamer.training.ray.engine import LocalRay

    with LocalRay(n_cpus=4) as engine:
        yield engine
