"""Rewards that are not a key of the state: surviving a turn, and how the game ends."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from retro_gamer.games.observation import PlayerFinder, finite_number, names_of
from retro_gamer.games.validation import END, OTHERWISE, TURNS

if TYPE_CHECKING:
    from retro_gamer.games.description import GameMetadata

Signal = Callable[[Any], float]
"""Returns the reward of the turn that a game has just played."""

_VERBS = ("win", "wins", "won")
_NOUNS = ("winner", "winners", "victory", "victorious")
_LOSSES = ("lose", "loses", "lost", "loss", "dead", "die", "died", "dies", "killed", "defeat", "fail", "failed", "over")
_NEGATIONS = (
    *("not", "no", "never", "nobody", "none", "neither", "nor", "nothing", "cannot", "cant", "didnt", "without"),
    *("almost", "nearly", "if", "to", "could", "should", "would", "unless", "until", "beat", "beats"),
)
_PLAYERS = ("you", "youve", "yours", "player", "p1", "we", "i", "ive", "human", "hero")
_FIRST = ("1", "one")
_FILLERS = (
    *("the", "a", "an", "has", "have", "had", "ve", "just", "finally", "all", "is", "are", "was", "were", "been"),
    *("game", "level", "round", "match", "this", "that", "it", "and", "so", "then", "congratulations", "congrats"),
    *("well", "done", "great", "nice", "good", "job", "yay", "hooray", "wow", "yes", "ok", "okay", "oh", "hey"),
    *("again", "goes", "for", "by", "of", "now", "already", "perfect", "epic", "total", "flawless", "easy", "final"),
)
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
        return lambda game: 0.0 if game.playing else reward_end(game, metadata.end, metadata.player)
    return None


def reward_turn(game: Any) -> float:
    """Return 1 if the game goes on after the turn, else 0."""
    return 1.0 if game.playing else 0.0


def reward_end(game: Any, end: Mapping[str, float] | None = None, player: str | None = None) -> float:
    """Return the reward of a game that is over: by the lines of `end`, else 1 if the player has won and -1 if not.

    The first text of the state, or of the latest messages, that tells of a win or a loss decides.
    """
    if end:
        return worth_of_end(game, end)
    found = PlayerFinder(player).find(game.agents)
    names = ([player] if player else []) + (list(names_of(found)) if found is not None else [])
    messages = [str(message) for _, message in game.log_messages[: -_MESSAGES_READ - 1 : -1]]
    for text in (*(value for value in game.state.values() if isinstance(value, str)), *messages):
        if is_win(text, names):
            return 1.0
        if set(_words_of(text)) & {*_VERBS, *_NOUNS, *_LOSSES}:
            return -1.0
    return -1.0


def is_win(text: str, names: Collection[str] = ()) -> bool:
    """Return whether a text says that the player wins, who may have `names`, and not someone else or nobody."""
    called = {word for name in names for word in _words_of(name)} - {*_FILLERS, "player"}
    return any(
        _is_win(_words_of(clause), called) for clause in re.split(r"[.!?;,\n]|\bbut\b|\bwhile\b", text.casefold())
    )


def _is_win(words: list[str], called: set[str]) -> bool:
    place = next((i for i, word in enumerate(words) if word in (*_VERBS, *_NOUNS)), None)
    if place is None or any(word in _NEGATIONS or word.endswith("n't") for word in words):
        return False
    is_noun = words[place] in _NOUNS or words[place + 1 : place + 2] == ["by"]
    who = [word for word in (words[:place] + words[place + 1 :] * is_noun) if word not in _FILLERS]
    if "player" in who:
        return set(who[who.index("player") + 1 :]) <= ({word for word in called if word.isdigit()} or set(_FIRST))
    if not who or any(word in called for word in who):
        return True
    return any(word.replace("'", "") in _PLAYERS for word in who)


def _words_of(text: str) -> list[str]:
    plain = re.sub(r"\bp(?:layer)?[ _#]?(\d)", r"player \1", text.casefold().replace("’", "'"))
    return re.findall(r"[\w']+", plain)


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
