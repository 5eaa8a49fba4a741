"""The rules of a game description that need no game: for each field, and between fields."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from retro_gamer.errors import Problem, printable
from retro_gamer.games.board import LARGEST_CHARACTER_COUNT, is_blank, is_invisible, is_one_character
from retro_gamer.games.loading.keys import LARGEST_ACTION_COUNT, is_known_key, nearest_key
from retro_gamer.toml import to_toml

FIELDS = (
    "actions",
    "reward",
    "character_set",
    "spatial",
    "observe_state",
    "factory",
    "player",
    "answers",
    "observe",
    "end",
    "board_size",
)
BOARD, VIEW = "board", "view"
OBSERVABLE = (BOARD, VIEW)
TURNS, END = "@turns", "@end"
SIGNALS = (TURNS, END)
"""Rewards that are not a key of the state."""
OTHERWISE = "otherwise"
LARGEST_BOARD_SIDE = 32_767
LARGEST_STATE_COUNT = 1024
_LARGEST_PROBLEM_COUNT = 20
_LARGEST_WORTH = 1e30
_ARROWS = 'actions = ["KEY_RIGHT", "KEY_UP", "KEY_LEFT", "KEY_DOWN"]'
_CHARACTERS = 'character_set = ["@", "*"]'
_STATE = 'observe_state = ["lives"]'
_FACTORY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def find_problems(values: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of a description's fields: at most 20, then a count of the rest."""
    problems = [_unknown_field(name, value) for name, value in values.items() if name not in FIELDS]
    problems += [_missing_field(name) for name in ("actions", "reward") if values.get(name) is None]
    for name in FIELDS:
        if values.get(name) is not None:
            problems += find_field_problems(name, values[name])
    return shortened(problems + _find_contradictions(values))


def find_field_problems(name: str, value: object) -> list[Problem]:
    """Return the problems of one field's value."""
    if name in _CHECKS:
        return _CHECKS[name](value)
    is_valid, rule, remedy = _RULES[name]
    return [] if is_valid(value) else [Problem(field=name, value=value, rule=rule, remedy=remedy)]


def is_board_size(value: object) -> bool:
    """Return whether `value` is a pair of whole numbers in the range of a board's sides."""
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(side, int) and not isinstance(side, bool) for side in value)
        and all(1 <= side <= LARGEST_BOARD_SIDE for side in value)
    )


def assignment(name: str, value: str | Sequence[str]) -> str:
    """Return a line of TOML to paste, with at most a dozen entries of a list."""
    return f"{name} = {to_toml(value if isinstance(value, str) else value[:12])}"


def shortened(problems: list[Problem]) -> list[Problem]:
    """Return the first 20 problems and one that counts the rest."""
    more = len(problems) - _LARGEST_PROBLEM_COUNT
    if more <= 0:
        return problems
    rest = Problem(
        field="and more", value=more, rule="problems like these", remedy="fix the first ones, then try again"
    )
    return [*problems[:_LARGEST_PROBLEM_COUNT], rest]


def _unknown_field(name: str, value: object) -> Problem:
    near = difflib.get_close_matches(str(name), FIELDS, n=1)
    return Problem(
        field=printable(str(name))[:60],
        value=value,
        rule="is not a field of a game description" + (f"; did you mean {near[0]}?" if near else ""),
        remedy=f"rename it to {near[0]}" if near else "remove the line; the fields are " + ", ".join(FIELDS[:-1]),
    )


def _missing_field(name: str) -> Problem:
    remedy = _ARROWS if name == "actions" else 'reward = "score"'
    return Problem(field=name, value=None, rule="is required and missing", remedy=remedy)


def _check_actions(value: Any) -> list[Problem]:
    problems = _check_strings("actions", value, LARGEST_ACTION_COUNT, _ARROWS)
    if problems:
        return problems
    if not value:
        return [Problem(field="actions", value=[], rule="must name at least one key", remedy=_ARROWS)]
    fixed = [key if is_known_key(key) else nearest_key(key) for key in value]
    remedy = assignment("actions", list(dict.fromkeys(key for key in fixed if key))) if any(fixed) else _ARROWS
    rule = "is neither a single character nor a key the framework knows"
    wrong = [Problem(field="actions", value=key, rule=rule, remedy=remedy) for key in value if not is_known_key(key)]
    return wrong + _find_repeated("actions", value)


def _check_reward(value: Any) -> list[Problem]:
    if isinstance(value, str) and value.startswith("@") and value not in SIGNALS:
        near = difflib.get_close_matches(value, SIGNALS, n=1, cutoff=0.3) or [TURNS]
        rule = f"begins with @ as the signals do, which are {', '.join(SIGNALS)}"
        return [Problem(field="reward", value=value, rule=rule, remedy=assignment("reward", near[0]))]
    if isinstance(value, str) and value:
        return []
    rule = "must be the name of a key of the game's state"
    return [Problem(field="reward", value=value, rule=rule, remedy='reward = "score"')]


def _check_character_set(value: Any) -> list[Problem]:
    problems = _check_strings("character_set", value, LARGEST_CHARACTER_COUNT, _CHARACTERS)
    if problems:
        return problems
    if not value:
        rule = "must contain at least one character; without the line, random play finds them"
        return [Problem(field="character_set", value=[], rule=rule, remedy=_CHARACTERS)]
    broken = {text: broken_rule for text in value if (broken_rule := _broken_character_rule(text)) is not None}
    letters = dict.fromkeys(c for text in value for c in ([text] if text not in broken else list(text[:8])))
    usable = [c for c in letters if _broken_character_rule(c) is None]
    remedy = assignment("character_set", usable) if usable else "remove the line; random play then finds the characters"
    wrong = [Problem(field="character_set", value=text, rule=why, remedy=remedy) for text, why in broken.items()]
    return wrong + _find_repeated("character_set", value)


def _broken_character_rule(character: str) -> str | None:
    if is_blank(character):
        return "is blank, which always means an empty cell"
    if not is_one_character(character):
        return "must be a single character"
    if is_invisible(character):
        return "is a control character, which a board cannot show"
    return None


def _check_observe_state(value: Any) -> list[Problem]:
    return _check_strings("observe_state", value, LARGEST_STATE_COUNT, _STATE) or _find_repeated("observe_state", value)


def _check_factory(value: Any) -> list[Problem]:
    if isinstance(value, str) and _FACTORY.fullmatch(value):
        return []
    rule = 'must be "module:name", the name of something callable that returns a Game'
    name = value if isinstance(value, str) and value.isidentifier() else "create_game"
    return [
        Problem(
            field="factory",
            value=value,
            rule=rule,
            remedy=assignment("factory", f"FILE:{name}") + ", where FILE is the file's name without .py",
        )
    ]


def _check_end(value: Any) -> list[Problem]:
    remedy = 'end = { "you win" = 1, "lives = 0" = -1, "otherwise" = 0 }'
    if not isinstance(value, Mapping) or not value:
        rule = "must be a table that gives texts or state values a number"
        return [Problem(field="end", value=value, rule=rule, remedy=remedy)]
    if len(value) > LARGEST_STATE_COUNT:
        return [Problem(field="end", value=len(value), rule="has too many lines", remedy=remedy)]
    rule = "must be a finite number for a text that is not empty"
    wrong = [
        Problem(field="end", value={text: worth}, rule=rule, remedy=remedy)
        for text, worth in value.items()
        if not isinstance(text, str) or not text.strip() or not _is_worth(worth)
    ]
    after = list(value)[list(value).index(OTHERWISE) + 1 :] if OTHERWISE in value else []
    rule = f'comes after "{OTHERWISE}", which always matches, so it is never used'
    remedy = f'put "{OTHERWISE}" last'
    return wrong + [Problem(field="end", value=text, rule=rule, remedy=remedy) for text in after[:1]]


def _is_worth(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST_WORTH


_CHECKS: Mapping[str, Callable[[Any], list[Problem]]] = {
    "actions": _check_actions,
    "reward": _check_reward,
    "character_set": _check_character_set,
    "observe_state": _check_observe_state,
    "factory": _check_factory,
    "answers": lambda value: _check_strings("answers", value, LARGEST_STATE_COUNT, 'answers = ["1", ""]'),
    "end": _check_end,
}
_RULES: Mapping[str, tuple[Callable[[Any], bool], str, str]] = {
    "spatial": (lambda value: isinstance(value, bool), "must be true or false", "spatial = true"),
    "player": (
        lambda value: isinstance(value, str) and value != "",
        "must be the name or the class name of the agent that the keys move",
        "remove the line; the player is then found automatically",
    ),
    "observe": (
        lambda value: value in OBSERVABLE,
        'must be "board" (all of it) or "view" (the visible window)',
        'observe = "board"',
    ),
    "board_size": (
        is_board_size,
        f"must be [width, height], whole numbers from 1 to {LARGEST_BOARD_SIDE}",
        "remove the line; it is read from the game",
    ),
}
"""Fields with one rule: whether a value is valid, else the rule and the remedy."""


def _check_strings(name: str, value: Any, longest: int, example: str) -> list[Problem]:
    if not isinstance(value, (list, tuple)):
        rule = f"must be a list of strings, not {type(value).__name__}"
        if isinstance(value, str) and value.strip():
            entries = [c for c in dict.fromkeys(value) if c.strip()] if name == "character_set" else [value]
            example = assignment(name, entries)
        return [Problem(field=name, value=value, rule=rule, remedy=example)]
    if len(value) > longest:
        rule = f"has {len(value)} entries; at most {longest} are allowed"
        return [Problem(field=name, value=list(value[:3]), rule=rule, remedy="keep those that the game uses")]
    rule = "contains something that is not a string"
    return [
        Problem(field=name, value=entry, rule=rule, remedy=example) for entry in value if not isinstance(entry, str)
    ]


def _find_repeated(name: str, values: Sequence[str]) -> list[Problem]:
    once = assignment(name, list(dict.fromkeys(values)))
    repeated = [value for value, count in Counter(values).items() if count > 1]
    return [Problem(field=name, value=value, rule="is listed twice", remedy=once) for value in repeated]


def _find_contradictions(values: Mapping[str, Any]) -> list[Problem]:
    reward, observed = values.get("reward"), values.get("observe_state")
    if values.get("end") is not None and isinstance(reward, str) and reward != END:
        rule = f'values the ends of a game, which only reward = "{END}" uses'
        return [Problem(field="end", value=values["end"], rule=rule, remedy=assignment("reward", END))]
    if not isinstance(reward, str) or not isinstance(observed, (list, tuple)) or reward not in observed:
        return []
    rest = [key for key in observed if isinstance(key, str) and key != reward]
    return [
        Problem(
            field="observe_state",
            value=reward,
            rule="must not contain the reward key: the agent would observe its score instead of the game",
            remedy=assignment("observe_state", rest),
        )
    ]
