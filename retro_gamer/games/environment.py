"""A game as a gym-style environment, for use from Python."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable

import numpy as np
from retro.game import Game

from retro_gamer.errors import ConfigurationError, UsageError, quoted
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.game_rules import read_board_size
from retro_gamer.games.observation import Observation, Observer, flatten
from retro_gamer.games.open_game import find_session_problems
from retro_gamer.games.random_play import discover
from retro_gamer.games.session import GameSession


class GameEnvironment:
    """Steps through a game; observations are flat float32 vectors (see `flatten` for their layout).

    `metadata` is the description with its board size, read from the game, and its character set, discovered
    by `exploration_turns` random turns if it was not given. With a `seed`, the same actions give the same
    games. The vector does not carry the player's cell; `observation` does.

    Raises:
        ConfigurationError: if the description does not fit the game.
        GameFailedError: if the game's own code fails, here and in every method.
    """

    def __init__(
        self,
        create_game: Callable[[], Game],
        metadata: GameMetadata,
        *,
        seed: int | None = None,
        exploration_turns: int = 200,
    ) -> None:
        if not callable(create_game):
            raise UsageError(f"create_game must be a function that returns a new Game, not {quoted(create_game)}")
        session = GameSession(create_game, metadata)
        if seed is not None:
            session.seed(seed)
        session.start()
        problems = find_session_problems(session)
        if problems:
            raise ConfigurationError(problems, "the game description")
        metadata = dataclasses.replace(metadata, board_size=read_board_size(session.game, view=metadata.sees_view))
        if metadata.character_set is None:
            metadata = _with_characters(create_game, metadata, exploration_turns, seed)
        self.metadata = metadata
        self._observer = Observer(metadata)
        self._session = GameSession(create_game, metadata)
        if seed is not None:
            self._session.seed(seed)
        self._observation: Observation | None = None

    @property
    def observation(self) -> Observation:
        """The latest observation with its board as codes and the player's cell.

        Raises:
            UsageError: before the first `reset`.
        """
        if self._observation is None:
            raise UsageError("there is no game yet: call reset() first")
        return self._observation

    @property
    def game(self) -> Game:
        """The game being played."""
        return self._session.game

    def reset(self) -> np.ndarray:
        """Start a new game and return its first observation, the board before the first turn."""
        self._session.start()
        self._observation = self._observer.observe(self._session.game)
        return self._flat()

    def step(self, action: str | int | None) -> tuple[np.ndarray, float, bool]:
        """Play one turn and return (observation, reward, done).

        `action` is a key of the description, its index, or None to press nothing.

        Raises:
            UsageError: for an action that is not in the description, and when no game is being played.
        """
        action_index = self._index_of(action)
        if self._session.is_over:
            ended = "the game is over" if self._observation is not None else "there is no game yet"
            raise UsageError(f"{ended}: call reset() to start one")
        turn = self._session.step(action_index)
        latest = self._observer.observe(self._session.game)
        if self._session.ended_illegally:  # the framework shows the board of the turn before
            latest = dataclasses.replace(latest, codes=self.observation.codes, player=self.observation.player)
        self._observation = latest
        return self._flat(), turn.reward, turn.terminated

    def _flat(self) -> np.ndarray:
        return flatten(self.observation, len(self._observer.encoder.character_set), self.metadata.spatial)

    def _index_of(self, action: str | int | None) -> int:
        actions = self.metadata.actions
        if action is None:
            return len(actions)
        if isinstance(action, str):
            if action in actions:
                return actions.index(action)
        elif not isinstance(action, bool):
            try:
                index = operator.index(action)
            except TypeError:
                index = -1
            if 0 <= index <= len(actions):
                return index
        known = ", ".join(quoted(key) for key in actions)
        raise UsageError(f"{quoted(action)} is not an action; there are {known}, an index 0..{len(actions)}, and None")


def _with_characters(
    create_game: Callable[[], Game], metadata: GameMetadata, turns: int, seed: int | None
) -> GameMetadata:
    found = discover(create_game, metadata, turns, seed)
    if not found.characters:
        raise UsageError(
            f"{turns} random turns of the game show no character at all; list what it shows in character_set"
        )
    return dataclasses.replace(metadata, character_set=found.characters, player=metadata.player or found.player)
