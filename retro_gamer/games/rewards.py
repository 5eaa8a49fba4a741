"""Rewards that are not a key of the state: surviving a turn, and how the game ends."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from retro_gamer.games.observation import finite_number
from retro_gamer.games.validation import END, OTHERWISE, TURNS

if TYPE_CHECKING:
    from retro_gamer.games.description import GameMetadata

Signal = Callable[[Any], float]
"""Returns the reward of the turn that a game has just played."""

DEFAULT_END: Mapping[str, float] = {"win": 1, "won": 1, "victory": 1, OTHERWISE: -1}
"""The reward of a game's end if the description does not set it."""

_MESSAGES_READ = 20
_COMPARISON = re.compile(r"\s*(.+?)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def make_signal(metadata: GameMetadata) -> Signal | None:
    """Return the function that gives the reward of a turn, None if the reward is the change of a key of the state."""
    if metadata.reward == TURNS:
        return reward_turn
    if metadata.reward == END:
        end = metadata.end or DEFAULT_END
        return lambda game: 0.0 if game.playing else worth_of_end(game, end)
    return None


def reward_turn(game: Any) -> float:
    """Return 1 if the game goes on after the turn, else 0."""
    return 1.0 if game.playing else 0.0


def worth_of_end(game: Any, end: Mapping[str, float]) -> float:
    """Return the number of the first line of `end` that matches a game that is over, 0 if none does.

    A line is a comparison of a state value (``lives = 0``, ``score >= 10``), ``otherwise``, or a text. A text matches
    if a word in a string of the state or in one of the game's last messages starts with it, in upper or lower case.
    """
    texts: str | None = None
    for condition, worth in end.items():
        compared = _compare(condition, game.state)
        if compared is None:
            texts = _texts_of(game) if texts is None else texts
            compared = condition == OTHERWISE or _occurs_in(condition, texts)
        if compared:
            return float(worth)
    return 0.0


def compared_key(condition: str) -> str | None:
    """Return the key of the state that a line of `end` compares, None for a text."""
    found = _COMPARISON.fullmatch(condition)
    return found[1] if found is not None else None


def describe_reward(reward: str) -> str:
    """Return a description of the reward for the user."""
    if reward == TURNS:
        return "1 for each turn survived"
    if reward == END:
        return "by how the game ends"
    return f'change of "{reward}" in each turn'


def _compare(condition: str, state: Mapping[Any, Any]) -> bool | None:
    """Return whether the condition holds for the state, None if it names no key of the state."""
    found = _COMPARISON.fullmatch(condition)
    if found is None or found[1] not in state:
        return None
    value, compare = state[found[1]], _OPERATORS[found[2]]
    wanted = _number_of(found[3])
    number = finite_number(value)
    if wanted is not None and number is not None:
        return compare(number, wanted)
    return compare(str(value).casefold(), found[3].strip("\"'").casefold())


def _number_of(text: str) -> float | None:
    if text.casefold() in ("true", "false"):
        return float(text.casefold() == "true")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _texts_of(game: Any) -> str:
    messages = [str(message) for _, message in game.log_messages[-_MESSAGES_READ:]]
    return "\n".join([*(value for value in game.state.values() if isinstance(value, str)), *messages]).casefold()


def _occurs_in(condition: str, texts: str) -> bool:
    return re.search(r"(?<!\w)" + re.escape(condition.casefold()), texts) is not None
