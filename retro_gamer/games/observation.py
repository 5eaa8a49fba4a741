"""Observations of a game: the board as codes, the player's cell, the observed state."""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from retro.agent import Agent

from retro_gamer.errors import GameFailedError
from retro_gamer.games.board import BoardEncoder, view_origin
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.failures import describe_failure
from retro_gamer.games.loading.sandbox import NullSandbox
from retro_gamer.games.loading.watchdog import HungGameError

NO_CELL = (-1, -1)
"""The player's cell when there is no player, or none on the board."""

_LARGEST_CACHE = 256
_NUMBERED = re.compile(r"(?P<label>.+)#(?P<number>[1-9]\d{0,3})", re.ASCII)


def finite_number(value: object) -> float | None:
    """Return `value` as a float if it is a number (numpy's too) that a float can hold, else None."""
    if not isinstance(value, (int, float, numbers.Real, np.bool_)):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if math.isfinite(number) else None


class PlayerFinder:
    """Finds the player among a game's agents, each time because agents come and go.

    With `described`, it is the first displayed agent of that name or class; the second agent named ``Paddle`` is
    ``Paddle#2``. Otherwise it is the first displayed agent whose class handles keystrokes itself. The framework's base
    class `Agent` has a handler that does nothing, so having a handler is not enough.
    """

    def __init__(self, described: str | None = None) -> None:
        self.described = described
        self._numbered = _NUMBERED.fullmatch(described) if described is not None else None
        self._handles: dict[type, bool] = {}

    def find(self, agents: Sequence[Any]) -> Any | None:
        """Return the player, or None."""
        if self.described is not None:
            found = next((a for a in agents if is_called(a, self.described) and getattr(a, "display", True)), None)
            return self._find_numbered(agents) if found is None and self._numbered is not None else found
        handles = self._handles
        for agent in agents:
            kind = type(agent)
            takes_keys = handles.get(kind)
            if takes_keys is None:
                takes_keys = self._remember(kind)
            if takes_keys and getattr(agent, "display", True):
                return agent
        return None

    def find_all(self, agents: Sequence[Any]) -> list[Any]:
        """Return every displayed agent whose class handles keystrokes itself."""
        handles = self._handles
        return [
            agent
            for agent in agents
            if (handles[kind] if (kind := type(agent)) in handles else self._remember(kind))
            and getattr(agent, "display", True)
        ]

    def cell(self, agents: Sequence[Any], board_size: tuple[int, int]) -> tuple[int, int]:
        """Return the player's cell (x, y), the middle one of a large player; (-1, -1) if there is none on the board."""
        agent = self.find(agents)
        return NO_CELL if agent is None else cell_of(agent, board_size)

    def _find_numbered(self, agents: Sequence[Any]) -> Any | None:
        assert self._numbered is not None
        same = [agent for agent in agents if label_of(agent) == self._numbered["label"]]
        number = int(self._numbered["number"])
        return same[number - 1] if number <= len(same) and getattr(same[number - 1], "display", True) else None

    def _remember(self, kind: type) -> bool:
        if len(self._handles) >= _LARGEST_CACHE:
            self._handles.clear()  # so that a game that makes new classes does not fill the memory
        self._handles[kind] = handles_keys(kind)
        return self._handles[kind]


def handles_keys(kind: type) -> bool:
    """Return whether a class has a keystroke handler other than the framework's empty one."""
    handler = getattr(kind, "handle_keystroke", None)
    return handler is not None and handler is not Agent.handle_keystroke


def is_called(agent: Any, name: str) -> bool:
    """Return whether `name` is the agent's name or that of its class."""
    return name in names_of(agent)


def names_of(agent: Any) -> tuple[str, str]:
    """Return the names by which a description can point to `agent`: its label and its class name."""
    return label_of(agent), type(agent).__name__


def names_of_all(agents: Sequence[Any]) -> list[tuple[str, str]]:
    """Return the same for all agents of a game; the label of the second ``Paddle`` is ``Paddle#2``."""
    counts: Counter[str] = Counter()
    names = []
    for label, kind in map(names_of, agents):
        counts[label] += 1
        names.append((label if counts[label] == 1 else f"{label}#{counts[label]}", kind))
    return names


def label_of(agent: Any) -> str:
    """Return the agent's name, or its class name if it has none."""
    name = getattr(agent, "name", None)
    return name if isinstance(name, str) and name else type(agent).__name__


def cell_of(agent: Any, board_size: tuple[int, int]) -> tuple[int, int]:
    """Return the (middle) cell of a displayed agent, (-1, -1) if it is off the board."""
    try:
        x, y = agent.position
        size = getattr(agent, "size", None)
        if size is not None:
            x, y = x + size[0] // 2, y + size[1] // 2
        if 0 <= x < board_size[0] and 0 <= y < board_size[1]:
            return int(x), int(y)
    except (AttributeError, TypeError, ValueError, IndexError):
        return NO_CELL  # a position that a view could not draw
    return NO_CELL


_LARGEST_STATE = 1e30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observation:
    """One observation: `codes` [H, W] uint8, `player` [2] int16 (x, y) or -1s, `state` [S] float32."""

    codes: np.ndarray
    player: np.ndarray
    state: np.ndarray


class Observer:
    """Takes observations of any game with this description. Values that are missing or not finite read as 0.

    Raises:
        ValueError: if the description lacks its character set or board size.
    """

    def __init__(self, metadata: GameMetadata) -> None:
        if metadata.character_set is None or metadata.board_size is None:
            raise ValueError("an Observer needs a description with its character_set and board_size filled in")
        self.encoder = BoardEncoder(metadata.character_set, metadata.board_size, view=metadata.sees_view)
        self.sees_view = metadata.sees_view
        self.finder = PlayerFinder(metadata.player)
        self.board_size = metadata.board_size
        self.width, self.height = metadata.board_size
        self.n_state = len(metadata.observe_state)
        self._state_keys = metadata.observe_state
        self._sandbox = NullSandbox()

    def observe_into(self, game: Any, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> None:
        """Write the observation of `game` into `codes` [H, W] uint8, `player` [2] int16 and `state` [S] float32.

        Raises:
            GameFailedError: if a property of the game raises.
        """
        try:
            self._sandbox.enter()
            self.encoder.encode(game, codes)
            player[0], player[1] = self.cell(game)
            if self._state_keys:
                self._read_state(game.state, state)
        except (Exception, HungGameError) as error:
            raise GameFailedError(f"the game cannot be observed: {describe_failure(error)}") from error
        finally:
            self._sandbox.exit()

    def cell(self, game: Any, agent: Any = None) -> tuple[int, int]:
        """Return the observed cell (x, y) of the player, or of `agent`; (-1, -1) if it is not in view."""
        if agent is None:
            agent = self.finder.find(game.agents)
        if agent is None or not getattr(agent, "display", True):
            return NO_CELL
        if not self.sees_view:
            return cell_of(agent, self.board_size)
        x, y = cell_of(agent, game.board_size)
        left, top = view_origin(game)
        is_visible = (x, y) != NO_CELL and 0 <= x - left < self.width and 0 <= y - top < self.height
        return (x - left, y - top) if is_visible else NO_CELL

    def observe(self, game: Any) -> Observation:
        """Return the observation of `game`."""
        observation = Observation(
            codes=np.zeros((self.height, self.width), dtype=np.uint8),
            player=np.zeros(2, dtype=np.int16),
            state=np.zeros(self.n_state, dtype=np.float32),
        )
        self.observe_into(game, observation.codes, observation.player, observation.state)
        return observation

    def _read_state(self, values: Any, state: np.ndarray) -> None:
        for index, key in enumerate(self._state_keys):
            number = finite_number(values.get(key)) or 0.0
            state[index] = max(-_LARGEST_STATE, min(_LARGEST_STATE, number))


def flatten(observation: Observation, n_characters: int, spatial: bool) -> np.ndarray:
    """Return the observation as one float32 vector: the board one-hot, then the observed state.

    The board is C x H x W if `spatial`, else H x W x C. The player's cell is not part of it.
    """
    one_hot = observation.codes[..., None] == np.arange(1, n_characters + 1)
    board = one_hot.transpose(2, 0, 1) if spatial else one_hot
    return np.concatenate([board.ravel().astype(np.float32), observation.state.astype(np.float32)])
