"""What the agent sees of a game: the board as codes, the player's cell, the observed state."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from retro_gamer.errors import GameFailedError
from retro_gamer.games.board import BoardEncoder, view_origin
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.game_rules import finite_number
from retro_gamer.games.loading.capture import interception
from retro_gamer.games.loading.failures import describe_failure
from retro_gamer.games.loading.watchdog import HungGameError
from retro_gamer.games.player import NO_CELL, PlayerFinder, cell_of

_LARGEST_STATE = 1e30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observation:
    """One look at a game: `codes` [H, W] uint8, `player` [2] int16 (x, y) or -1s, `state` [S] float32."""

    codes: np.ndarray
    player: np.ndarray
    state: np.ndarray


class Observer:
    """Takes observations of any game with this description.

    `bad_state` counts, by key, the observed values that were missing or not finite numbers; they read as 0.

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
        self.bad_state: dict[str, int] = {}
        self._state_keys = metadata.observe_state

    def observe_into(self, game: Any, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> None:
        """Write what `game` shows now into `codes` [H, W] uint8, `player` [2] int16 and `state` [S] float32.

        Raises:
            GameFailedError: if looking runs code of the game (a property, say) that raises.
        """
        try:
            interception.enter()
            self.encoder.encode(game, codes)
            player[0], player[1] = self.cell(game)
            if self._state_keys:
                self._read_state(game.state, state)
        except (Exception, HungGameError) as error:
            raise GameFailedError(f"the game cannot be observed: {describe_failure(error)}") from error
        finally:
            interception.exit()

    def cell(self, game: Any, agent: Any = None) -> tuple[int, int]:
        """Return the cell (x, y) of the player, or of `agent`, in what is seen; (-1, -1) if it does not show there."""
        if agent is None:
            agent = self.finder.find(game.agents)
        if agent is None or not getattr(agent, "display", True):
            return NO_CELL
        if not self.sees_view:
            return cell_of(agent, self.board_size)
        x, y = cell_of(agent, game.board_size)
        left, top = view_origin(game)
        is_seen = (x, y) != NO_CELL and 0 <= x - left < self.width and 0 <= y - top < self.height
        return (x - left, y - top) if is_seen else NO_CELL

    def observe(self, game: Any) -> Observation:
        """Return what `game` shows now."""
        observation = Observation(
            codes=np.zeros((self.height, self.width), dtype=np.uint8),
            player=np.zeros(2, dtype=np.int16),
            state=np.zeros(self.n_state, dtype=np.float32),
        )
        self.observe_into(game, observation.codes, observation.player, observation.state)
        return observation

    def _read_state(self, values: Any, state: np.ndarray) -> None:
        for index, key in enumerate(self._state_keys):
            number = finite_number(values.get(key))
            if number is None:
                self.bad_state[key] = self.bad_state.get(key, 0) + 1
                number = 0.0
            state[index] = max(-_LARGEST_STATE, min(_LARGEST_STATE, number))


def flatten(observation: Observation, n_characters: int, spatial: bool) -> np.ndarray:
    """Return the observation as one float32 vector: the board one-hot, then the observed state.

    The board is C x H x W if `spatial`, else H x W x C. The player's cell is not part of it.
    """
    one_hot = observation.codes[..., None] == np.arange(1, n_characters + 1)
    board = one_hot.transpose(2, 0, 1) if spatial else one_hot
    return np.concatenate([board.ravel().astype(np.float32), observation.state.astype(np.float32)])
