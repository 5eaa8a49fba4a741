from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from retro_gamer.cli import run
from retro_gamer.hyperparameters import SETTINGS, Hyperparameters
from retro_gamer.run.config import load_config

OTHER_VALUES: dict[type, Any] = {int: 7, float: 0.125, bool: True}


def _other_value(name: str) -> Any:
    declared = SETTINGS[name]
    if declared.choices:
        return declared.choices[-1]
    return 700 if name == "memory_capacity" else OTHER_VALUES[declared.kind]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_hyperparameter_has_an_option_that_reaches_the_configuration(name: str, tmp_path: Path) -> None:
    value = _other_value(name)
    typed = [SETTINGS[name].option] if value is True else [SETTINGS[name].option, str(value)]

    assert run(["create", "--game", "retro.examples.snake", "--output", str(tmp_path / "run"), *typed]) == 0

    hyperparameters = load_config(tmp_path / "run").hyperparameters
    assert hyperparameters == Hyperparameters(**{name: value})
    assert hyperparameters != Hyperparameters()


def test_a_switch_has_two_sides(tmp_path: Path) -> None:
    create = ["create", "--game", "retro.examples.snake", "--output", str(tmp_path / "run")]
    assert run([*create, "--no-prioritize-experiences"]) == 0
    assert load_config(tmp_path / "run").hyperparameters.prioritize_experiences is False


def test_help_names_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["create", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for declared in SETTINGS.values():
        assert f" {declared.option} " in shown
        assert declared.help in shown
    assert "(change per update; 0 < x <= 1; default 0.001)" in shown
    assert "ignore|extend" in shown
