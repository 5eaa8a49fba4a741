from __future__ import annotations

from typing import Any

import pytest

from retro_gamer.errors import ConfigurationError
from retro_gamer.games.description import GameMetadata

GOOD: dict[str, Any] = {"actions": ["KEY_RIGHT", "a"], "reward": "score"}


def problems_of(**changes: Any) -> list[Any]:
    with pytest.raises(ConfigurationError) as raised:
        GameMetadata.from_mapping({**GOOD, **changes}, "the test")
    assert raised.value.where == "the test"
    return list(raised.value.problems)


@pytest.mark.parametrize(
    ("changes", "field", "rule", "remedy"),
    [
        ({"actions": []}, "actions", "at least one key", 'actions = ["KEY_RIGHT"'),
        ({"actions": None}, "actions", "required", "actions = ["),
        ({"actions": "KEY_RIGHT"}, "actions", "list of strings, not str", "actions = ["),
        ({"actions": ["a", 3]}, "actions", "not a string", "actions = ["),
        ({"actions": ["a", "b", "a"]}, "actions", "listed twice", 'actions = ["a", "b"]'),
        ({"actions": ["right", "a"]}, "actions", "the framework knows", 'actions = ["KEY_RIGHT", "a"]'),
        ({"actions": ["a" * 9 + "!"]}, "actions", "the framework knows", 'actions = ["KEY_RIGHT"'),
        ({"actions": [chr(200 + i) for i in range(257)]}, "actions", "at most 256", "keep"),
        ({"reward": None}, "reward", "required", 'reward = "score"'),
        ({"reward": ""}, "reward", "name of a key", 'reward = "score"'),
        ({"reward": 3}, "reward", "name of a key", 'reward = "score"'),
        ({"character_set": []}, "character_set", "at least one", "character_set = ["),
        ({"character_set": "$ GP"}, "character_set", "list of strings", 'character_set = ["$", "G", "P"]'),
        ({"character_set": ["ab", "c"]}, "character_set", "single character", 'character_set = ["a", "b", "c"]'),
        ({"character_set": ["c", "c"]}, "character_set", "listed twice", 'character_set = ["c"]'),
        ({"character_set": ["c", " "]}, "character_set", "blank", 'character_set = ["c"]'),
        ({"character_set": [""]}, "character_set", "blank", "remove the line"),
        ({"character_set": ["\x1b"]}, "character_set", "control character", "remove the line"),
        ({"character_set": [chr(0x4E00 + i) for i in range(255)]}, "character_set", "at most 254", "keep"),
        ({"spatial": "yes"}, "spatial", "true or false", "spatial = true"),
        ({"spatial": 1}, "spatial", "true or false", "spatial = true"),
        ({"observe_state": "lives"}, "observe_state", "list of strings", 'observe_state = ["lives"]'),
        (
            {"reward": "@end", "end": {"win": 1, "otherwise": 0, "lives = 0": -1}},
            "end",
            "never used",
            'put "otherwise" last',
        ),
        ({"observe_state": ["lives", "lives"]}, "observe_state", "listed twice", 'observe_state = ["lives"]'),
        ({"observe_state": ["x", "score"]}, "observe_state", "reward key", 'observe_state = ["x"]'),
        ({"factory": "main"}, "factory", "module:name", 'factory = "FILE:main"'),
        ({"factory": 3}, "factory", "module:name", 'factory = "FILE:create_game"'),
        ({"player": ""}, "player", "class name", "remove the line"),
        ({"board_size": [0, 5]}, "board_size", "from 1 to", "remove the line"),
        ({"board_size": [5]}, "board_size", "from 1 to", "remove the line"),
        ({"board_size": [5, 40_000]}, "board_size", "from 1 to", "remove the line"),
        ({"board_size": [True, 5]}, "board_size", "from 1 to", "remove the line"),
        ({"action": ["a"]}, "action", "did you mean actions?", "rename it to actions"),
        ({"zzz": 1}, "zzz", "not a field", "remove the line"),
    ],
)
def test_each_bad_field_is_named_with_a_rule_and_a_remedy(
    changes: dict[str, Any], field: str, rule: str, remedy: str
) -> None:
    (problem,) = problems_of(**changes)
    assert problem.field == field
    assert rule in problem.rule
    assert problem.remedy.startswith(remedy)


def test_all_problems_come_together() -> None:
    problems = problems_of(actions=["right"], reward=7, character_set=["ab"], spatial=0, observe_state=3, colour="red")
    assert [p.field for p in problems] == [
        "colour",
        "actions",
        "reward",
        "character_set",
        "spatial",
        "observe_state",
    ]


def test_a_million_problems_are_not_all_shown() -> None:
    problems = problems_of(observe_state=[3] * 1000)
    assert len(problems) == 21
    assert (problems[-1].field, problems[-1].value) == ("and more", 980)
    assert len(problems_of(observe_state=["x"] * 1_000_000)) == 1


def test_messages_show_no_raw_control_characters() -> None:
    with pytest.raises(ConfigurationError) as raised:
        GameMetadata.from_mapping({"actions": ["\x1b[2J"], "reward": "x", "\x1b[31m": 1}, "the test")
    assert "\x1b" not in str(raised.value)
