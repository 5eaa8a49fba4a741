from __future__ import annotations

import subprocess
import sys

import pytest

import retro_gamer
from retro_gamer.version import __version__


def run_python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", retro_gamer.__all__)
def test_what_the_package_offers_is_there(name: str) -> None:
    found = getattr(retro_gamer, name)
    assert getattr(found, "__name__", name) == name


def test_a_name_it_does_not_offer_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="DQNTrainre"):
        _ = retro_gamer.DQNTrainre


def test_importing_it_and_reading_a_description_load_neither_torch_nor_ray() -> None:
    code = (
        "import sys, retro_gamer; retro_gamer.GameMetadata.from_pyproject('retro.examples.snake'); "
        "retro_gamer.GameEnvironment; print({'torch', 'ray'} & set(sys.modules))"
    )
    assert run_python("-c", code) == "set()"


def test_it_runs_as_a_module() -> None:
    assert run_python("-m", "retro_gamer", "--version") == f"retro-gamer {__version__}"
