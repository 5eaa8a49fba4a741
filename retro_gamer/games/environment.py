"""A game as a gym-style environment, for use from Python."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable

import numpy as np
from retro.game import Game

from retro_gamer.errors import UsageError, quoted
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.observation import Observation, Observer, flatten
from retro_gamer.games.random_play import open_game, play_randomly
from retro_gamer.games.session import GameSession


class GameEnvironment:
    """Steps through a game; observations are flat float32 vectors (see `flatten` for their layout).

    `metadata` is the description, completed by the board size and, if it has no character set, by the characters that
    `exploration_turns` random turns show. With a `seed`, the same actions give the same games. The vector does not
    contain the player's cell; `observation` does.

    Raises:
        ConfigurationError: if the description contradicts the game.
        GameFailedError: if the game's code fails, here and in every method.
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
        metadata = open_game(create_game, metadata, seed=seed).checked("the game description").metadata
        if metadata.character_set is None:
            metadata = _with_characters(_make_session(create_game, metadata, seed), exploration_turns, seed)
        self.metadata = metadata
        self._observer = Observer(metadata)
        self._session = _make_session(create_game, metadata, seed)
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
        """Start a new game and return its first observation, that of the board before the first turn."""
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


def _make_session(create_game: Callable[[], Game], metadata: GameMetadata, seed: int | None) -> GameSession:
    session = GameSession(create_game, metadata)
    if seed is not None:
        session.seed(seed)
    return session


def _with_characters(session: GameSession, turns: int, seed: int | None) -> GameMetadata:
    metadata, found = session.metadata, play_randomly(session, turns, seed)
    if not found.characters:
        raise UsageError(
            f"the board stayed empty for {turns} random turns, so no character was found; list them in character_set"
        )
    return dataclasses.replace(metadata, character_set=found.characters, player=metadata.player or found.player)
