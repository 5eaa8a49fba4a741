from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest

from retro_gamer.errors import ConfigurationError
from retro_gamer.hyperparameters import SETTINGS, Hyperparameters, Setting, find_problems
from retro_gamer.toml import to_toml

REFERENCE = {
    "learning_rate": 0.001,
    "lr_decay": 0.995,
    "gamma": 0.99,
    "epsilon": 1.0,
    "epsilon_decay": 0.995,
    "epsilon_min": 0.05,
    "batch_size": 64,
    "memory_capacity": 10000,
    "prioritize_experiences": False,
    "n_layers": 2,
    "layer_size": 128,
    "training_episodes": 1000,
    "max_turns_per_episode": 2000,
    "target_update_freq": 100,
    "exploration_turns": 200,
    "unknown_character_strategy": "ignore",
}
"""As specified, name by name."""


def test_names_and_defaults_are_those_specified() -> None:
    settings = dataclasses.asdict(Hyperparameters())
    assert {name: settings[name] for name in REFERENCE} == REFERENCE
    assert [type(settings[name]) for name in REFERENCE] == [type(value) for value in REFERENCE.values()]


@pytest.mark.parametrize("declared", SETTINGS.values(), ids=lambda declared: declared.name)
def test_every_setting_is_declared_whole(declared: Setting) -> None:
    assert declared.find_problem(declared.default) is None
    assert declared.help.endswith(".")
    assert declared.group
    if declared.kind in (int, float):
        assert declared.unit
        assert declared.maximum is not None
        assert (declared.minimum is None) is (declared.above is not None)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("gamma", 1.01, "must be a finite number with 0 <= x <= 1"),
        ("gamma", math.nan, "must be a finite number with 0 <= x <= 1"),
        ("learning_rate", 0, "must be a finite number with 0 < x <= 1"),
        ("batch_size", 0, "must be a whole number with 1 <= x <= 65536"),
        ("batch_size", 10**400, "must be a whole number with 1 <= x <= 65536"),
        ("batch_size", 2.5, "must be a whole number, not float"),
        ("batch_size", True, "must be a whole number, not bool"),
        ("gamma", "0.9", "must be a number, not str"),
        ("prioritize_experiences", 1, "must be true or false, not int"),
        ("unknown_character_strategy", "grow", 'must be "ignore" or "extend"'),
        ("unknown_character_strategy", 3, "must be a string, not int"),
        ("gama", 0.9, "is not a hyperparameter; did you mean gamma?"),
        ("zzz", 0.9, "is not a hyperparameter"),
    ],
)
def test_what_is_wrong_is_named_with_a_line_that_mends_it(name: str, value: Any, rule: str) -> None:
    (problem,) = find_problems({name: value})
    assert (problem.field, problem.rule) == (name, rule)
    assert problem.value is value
    mended = problem.remedy.partition(" = ")[0]
    assert mended in SETTINGS or problem.remedy == f"remove the line {name}"


@pytest.mark.parametrize("value", [0, 1, 0.5, 1.0])
def test_bounds_themselves_are_permitted(value: float) -> None:
    assert find_problems({"gamma": value}) == []


def test_a_whole_number_given_for_a_float_becomes_one() -> None:
    settings = Hyperparameters.from_mapping({"gamma": 1})
    assert settings.gamma == 1.0
    assert isinstance(settings.gamma, float)


@pytest.mark.parametrize(
    ("values", "field", "remedy"),
    [
        ({"batch_size": 100, "memory_capacity": 50}, "batch_size", {"memory_capacity": 10_000}),
        ({"batch_size": 20_000}, "batch_size", {"memory_capacity": 80_000}),
        ({"epsilon": 0.01}, "epsilon_min", {"epsilon_min": 0.01}),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    values: dict[str, Any], field: str, remedy: dict[str, Any]
) -> None:
    (problem,) = find_problems(values)
    assert problem.field == field
    assert problem.remedy == "".join(f"{name} = {value}" for name, value in remedy.items())
    assert find_problems({**values, **remedy}) == []


def test_all_problems_come_together_from_every_constructor() -> None:
    wrong: dict[str, Any] = {"gamma": 2.0, "n_layers": -1, "batch_size": 0}
    constructors: tuple[Callable[[], Hyperparameters], ...] = (
        lambda: Hyperparameters(**wrong),
        lambda: Hyperparameters.from_mapping(wrong),
    )
    for make in constructors:
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert {problem.field for problem in caught.value.problems} == set(wrong)


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), ("ignore", '"ignore"'), (3, "3"), (0.5, "0.5")]
)
def test_values_are_spelled_as_toml_does(value: bool | int | float | str, text: str) -> None:
    assert to_toml(value) == text
