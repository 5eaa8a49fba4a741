"""The rules of a game description that need the game: its state, its agents and its board."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from retro_gamer.errors import GameFailedError, Problem, quoted
from retro_gamer.games.observation import finite_number, names_of_all
from retro_gamer.games.validation import (
    LARGEST_BOARD_SIDE,
    SIGNALS,
    TURNS,
    assignment,
    is_board_size,
    shortened,
)

if TYPE_CHECKING:
    from retro_gamer.games.description import GameMetadata


def find_game_problems(metadata: GameMetadata, game: Any) -> list[Problem]:
    """Return the problems of a description that the started `game` shows."""
    return find_problems_against(metadata, game.state, names_of_all(game.agents))


def find_problems_against(
    metadata: GameMetadata, state: Mapping[str, Any], names: Sequence[tuple[str, str]]
) -> list[Problem]:
    """Return the problems that a game's state and the names of its agents show."""
    problems = _find_reward_problems(metadata.reward, state)
    for key in metadata.observe_state:
        rule = _broken_number_rule(key, state)
        if rule is not None:
            usable = [k for k in metadata.observe_state if _broken_number_rule(k, state) is None]
            usable = usable or [k for k in _number_keys(state) if k != _nearest_reward(metadata.reward, state)]
            remedy = assignment("observe_state", usable)
            problems.append(Problem(field="observe_state", value=key, rule=rule, remedy=remedy))
    if metadata.player is not None and not any(metadata.player in called for called in names):
        problems.append(_unknown_player(metadata.player, names))
    return shortened(problems)


def read_board_size(game: Any, *, view: bool = False) -> tuple[int, int]:
    """Return (width, height) of the game's board, or of the window that shows a part of it.

    Raises:
        GameFailedError: if the game has anything but two whole numbers from 1 to 32,767.
    """
    name = "view_size" if view else "board_size"
    size = getattr(game, name)
    if not is_board_size(size):
        raise GameFailedError(
            f"the game's {name} is {quoted(size)}; it must be (width, height), whole numbers from 1 to "
            f"{LARGEST_BOARD_SIDE}. Give Game(...) something like {name}=(32, 16)."
        )
    return int(size[0]), int(size[1])


def _find_reward_problems(reward: str, state: Mapping[str, Any]) -> list[Problem]:
    rule = None if reward in SIGNALS else _broken_number_rule(reward, state)
    if rule is None:
        return []
    near = _nearest_reward(reward, state)
    remedy = assignment("reward", near) if near else f'reward = "{TURNS}" (each turn survived counts)'
    return [Problem(field="reward", value=reward, rule=rule, remedy=remedy)]


def _nearest_reward(reward: str, state: Mapping[str, Any]) -> str | None:
    usable = _number_keys(state)
    near = [reward] if reward in usable else difflib.get_close_matches(reward, usable, n=1) or usable[:1]
    return near[0] if near else None


def _broken_number_rule(key: str, state: Mapping[str, Any]) -> str | None:
    if key not in state:
        names = ", ".join(quoted(name, 30) for name in list(state)[:12]) or "no keys at all"
        return f"is not a key of the game's state, which has {names}"
    if finite_number(state[key]) is None:
        return f"must be a finite number in the game's state, but is {quoted(state[key])}"
    return None


def _number_keys(state: Mapping[str, Any]) -> list[str]:
    return [key for key, value in state.items() if isinstance(key, str) and finite_number(value) is not None]


def _unknown_player(player: str, names: Sequence[tuple[str, str]]) -> Problem:
    labels = list(dict.fromkeys(label for label, _ in names))
    near = difflib.get_close_matches(player, labels, n=1)
    return Problem(
        field="player",
        value=player,
        rule="is neither the name nor the class of an agent; the agents are "
        + ", ".join(quoted(n, 30) for n in labels[:8]),
        remedy=assignment("player", near[0]) if near else "remove the line; the player is then found automatically",
    )
