"""Short texts that tell two moments of a game apart: what a player sees and, if wanted, what its agents remember."""

from __future__ import annotations

import enum
import hashlib
from collections import deque
from collections.abc import Collection
from typing import Any

from retro.game import Game

from retro_gamer.games.observation import handles_keys

_MOST_AGENTS = 30
_MOST_ENTRIES = 100
_DEPTH = 3
_FRAMEWORK_ATTRIBUTES = frozenset((*vars(Game([], {})), "keys_pressed"))


def fingerprint(game: Any) -> str:
    """Return a short text that differs if two moments differ in state, agents, window or end, not in the log."""
    agents = [
        (
            type(agent).__name__,
            getattr(agent, "position", None),
            getattr(agent, "character", None),
            getattr(agent, "display", True),
        )
        for agent in game.agents
    ]
    state = sorted((str(key), repr(value)) for key, value in game.state.items())
    text = repr((game.playing, state, agents, game.view_position))
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def characters_of(game: Any) -> set[str]:
    """Return the characters that the agents of a game show, which some games use as keys."""
    shown = (getattr(agent, "character", "") for agent in game.agents)
    return {character for character in shown if isinstance(character, str) and len(character) == 1}


def remembered(game: Any) -> Any:
    """Return the attributes of the game, of agents that handle keys, and of the first 30 agents, as plain values."""
    agents = [a for number, a in enumerate(game.agents) if number < _MOST_AGENTS or handles_keys(type(a))]
    own = {name: value for name, value in vars(game).items() if name not in _FRAMEWORK_ATTRIBUTES}
    known = {id(agent) for agent in game.agents}
    return [_describe(getattr(holder, "__dict__", own), known, _DEPTH) for holder in (*agents, own)]


def are_alike(first: Any, second: Any, keys: Collection[str]) -> bool:
    """Return whether two such values differ at most in which of the `keys` an agent remembers."""
    if first == second:
        return True
    if isinstance(first, str) and isinstance(second, str):
        return first in keys and second in keys
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)) and len(first) == len(second):
        return all(are_alike(a, b, keys) for a, b in zip(first, second, strict=True))
    return False


def without_keys(value: Any, keys: Collection[str]) -> Any:
    """Return such a value with one text in place of each of the `keys`."""
    if isinstance(value, str):
        return "(key)" if value in keys else value
    return [without_keys(entry, keys) for entry in value] if isinstance(value, (list, tuple)) else value


def _describe(value: Any, known: set[int], depth: int) -> Any:
    """Return a value in texts and lists, without the addresses of objects."""
    if isinstance(value, str):
        return str(getattr(value, "name", None) or str(value))
    if value is None or isinstance(value, (bool, int, float, complex, bytes, enum.Enum)):
        return repr(value)
    if id(value) in known or depth == 0 or isinstance(value, Game):
        return type(value).__name__
    if isinstance(value, dict):
        entries = list(value.items())[:_MOST_ENTRIES]
        return [(str(key), _describe(entry, known, depth - 1)) for key, entry in entries]
    if isinstance(value, (list, tuple, deque, set, frozenset)):
        described = [_describe(entry, known, depth - 1) for entry in list(value)[-_MOST_ENTRIES:]]
        return sorted(described, key=repr) if isinstance(value, (set, frozenset)) else described
    return [type(value).__name__, _describe(getattr(value, "__dict__", {}), known, depth - 1)]
