from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from retro_gamer.learning import set_threads


def test_set_threads_sets_at_least_one() -> None:
    set_threads(2)
    assert torch.get_num_threads() == 2
    set_threads(0)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(("given", "found"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_wait_without_spinning_unless_the_user_says_otherwise(given: dict[str, str], found: str) -> None:
    code = (
        "import sys, os, retro_gamer.learning; assert 'torch' not in sys.modules, 'too late: it is read when torch is "
        "imported'; print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found
