from __future__ import annotations

from typing import Any

import pytest

from retro_gamer.features.spec import make_spec
from retro_gamer.games.description import GameMetadata
from retro_gamer.learning.networks import make_network
from retro_gamer.learning.rationale import describe_network
from tests.learning.samples import make_settings


def describe(has_player: bool = True, settings: dict[str, Any] | None = None, **described: Any) -> str:
    described = {"actions": ("KEY_UP",), "reward": "score", "character_set": ("@", "é"), **described}
    metadata = GameMetadata(**{"board_size": (30, 20), **described})
    chosen = make_settings(**(settings or {}))
    return describe_network(make_network(make_spec(metadata, chosen, has_player)), metadata, chosen)


def test_it_describes_only_what_is_done() -> None:
    text = describe(settings={"exploration_draws": 3, "weight_averaging": 500})
    assert "of 3 drawn at random" in text
    assert "over 500 updates" in text
    text = describe(settings={"exploration_draws": 1, "weight_averaging": 1})
    assert "drawn" not in text
    assert "average of the weights" not in text


def test_it_names_board_characters_actions_and_weights() -> None:
    text = describe()
    n_weights = sum(
        p.numel()
        for p in make_network(
            make_spec(
                GameMetadata(actions=("KEY_UP",), reward="score", character_set=("@", "é"), board_size=(30, 20)),
                make_settings(),
                True,
            )
        ).parameters()
    )
    for part in (
        "30 x 20",
        "'@'",
        "'é'",
        "KEY_UP",
        "2 Q-values",
        f"{n_weights:,} weights",
        "exploration_draws",
        "weight_averaging",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("described", "has_player", "expected"),
    [
        ({}, True, "5 x 5 cells around the player"),
        ({}, False, "name it in the description"),
        ({"board_size": (100, 20)}, False, "3 x 3 cells averaged into one"),
        ({"board_size": (400, 200)}, True, "65 x 65 cells around the player"),
        ({"board_size": (400, 20)}, True, "the whole board"),
        ({"spatial": False}, True, "1200 numbers"),
        ({"spatial": False}, True, "then one Q-value for each action"),
        ({}, True, "a dueling head"),
        ({}, False, "a dueling head"),
        ({"observe_state": ("lives", "level")}, True, "lives, level"),
        ({"observe_state": ()}, True, "none observed"),
    ],
)
def test_it_explains_the_network(described: dict[str, Any], has_player: bool, expected: str) -> None:
    assert expected in describe(has_player, **described)


@pytest.mark.parametrize(
    ("n_layers", "expected"), [(0, "no hidden layer"), (1, "1 hidden layer of 8"), (3, "3 hidden layers of 8")]
)
def test_it_counts_the_layers_of_the_head(n_layers: int, expected: str) -> None:
    assert expected in describe(settings={"n_layers": n_layers})


def test_its_lines_are_headings_and_one_idea_each() -> None:
    lines = describe().splitlines()
    assert [line for line in lines if not line.startswith("  ")] == ["Architecture", "Learning"]
    assert all(line.endswith(".") for line in lines if line.startswith("  ") and "Board:" not in line)
