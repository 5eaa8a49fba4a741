"""One game being played without a view."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from retro.errors import IllegalMove
from retro.game import Game
from retro.input import ProgrammaticInput

from retro_gamer.errors import GameFailedError, shown
from retro_gamer.games.failures import describe_failure
from retro_gamer.games.game_rules import finite_number
from retro_gamer.games.hanging import HungGameError
from retro_gamer.games.interception import interception
from retro_gamer.games.keys import make_keystroke
from retro_gamer.games.loading import refusing_play
from retro_gamer.games.metadata import GameMetadata
from retro_gamer.games.source import GameSource

_LARGEST_REWARD = 1e30  # differences of such values still fit float32
_LOG_MESSAGES_KEPT = 200


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What one turn brought. `fault` says why the reward could not be read (it is then 0)."""

    reward: float
    terminated: bool
    fault: str | None


_NOTHING = Turn(reward=0.0, terminated=False, fault=None)


class ActionInput(ProgrammaticInput):
    """An input source that presses the key of an action; `press` still works as the framework's does."""

    def __init__(self, metadata: GameMetadata) -> None:
        super().__init__()
        self._keystrokes = tuple(make_keystroke(key) for key in metadata.actions)
        self._action_index: int | None = None

    def choose(self, action_index: int) -> None:
        """Press the key of that action next turn; the last action presses nothing."""
        self._action_index = action_index

    def collect(self) -> set[Any]:
        """Return what is pressed this turn."""
        action_index, self._action_index = self._action_index, None
        if action_index is None:
            return super().collect()
        return {self._keystrokes[action_index]} if action_index < len(self._keystrokes) else set()


class GameSession:
    """Plays games of one factory, one at a time.

    `game` is the game being played, `turns` the turns played of it, `is_over` whether it has ended,
    `ended_illegally` whether it ended by an `IllegalMove`: the framework then shows no further board.
    """

    def __init__(self, factory: Callable[[], Game], metadata: GameMetadata, source: GameSource | None = None) -> None:
        self.metadata = metadata
        self.source = source
        self.game: Any = None
        self.turns = 0
        self.is_over = True
        self.ended_illegally = False
        self._factory = factory
        self._seed: int | None = None
        self._input = ActionInput(metadata)
        self._raw_value: Any = None
        self._value = 0.0

    def seed(self, seed: int) -> None:
        """Let the next `start` begin by seeding Python's and numpy's global generators, which games draw on."""
        self._seed = seed

    def start(self) -> None:
        """Build a new game and start it.

        Raises:
            GameFailedError: if the game's code raises, or what it returns is not a new Game.
        """
        if self._seed is not None:
            random.seed(self._seed)
            np.random.seed(self._seed % 2**32)
            self._seed = None
        self.is_over = True  # also if what follows fails: the game before is not to be played on
        try:
            interception.enter()
            with refusing_play():
                game = self._factory()
                self._check_new_game(game, self.game)
                game.view = None
                game.input_source = self._input
                game.start()
            self._raw_value = game.state.get(self.metadata.reward)
        except GameFailedError as error:
            raise GameFailedError(f"{self._label()} cannot be started: {error}") from None
        except (Exception, SystemExit, HungGameError) as error:
            raise GameFailedError(
                f"{self._label()} failed while it was being built: {describe_failure(error, self.source)}"
            ) from None
        finally:
            interception.exit()
        self.game = game
        self.turns = 0
        self.is_over = False
        self.ended_illegally = False
        self._value = _readable(self._raw_value) or 0.0

    def step(self, action_index: int) -> Turn:
        """Play one turn and return the change of the rewarded state.

        An `IllegalMove` out of the game's turn ends it, as it does when a person plays.

        Raises:
            GameFailedError: if the game's code raises anything else; the game is then over.
            ValueError: if the game is over, or there is no such action.
        """
        if self.is_over:
            raise ValueError("no game is being played: start one")
        if not 0 <= action_index <= len(self.metadata.actions):
            raise ValueError(f"action {action_index} is outside 0..{len(self.metadata.actions)}")
        self._input.choose(action_index)
        self.turns += 1
        try:
            interception.enter()
            return self._play_turn(self.game)
        except (Exception, SystemExit, HungGameError) as error:
            self.is_over = True
            raise GameFailedError(
                f"{self._label()} failed at turn {self.turns}: {describe_failure(error, self.source)}"
            ) from None
        finally:
            interception.exit()

    def _play_turn(self, game: Any) -> Turn:
        try:
            game.step()
        except IllegalMove:
            self.ended_illegally = True
            game.playing = False
        if len(game.log_messages) > _LOG_MESSAGES_KEPT:
            del game.log_messages[:-_LOG_MESSAGES_KEPT]  # a game may write one every turn, without end
        self.is_over = not game.playing
        value = game.state.get(self.metadata.reward)
        if value is self._raw_value and game.playing:
            return _NOTHING
        self._raw_value = value
        return self._score(value)

    def _score(self, value: Any) -> Turn:
        number = _readable(value)
        if number is None:
            key = self.metadata.reward
            what = f"is {shown(value)}, no finite number," if key in self.game.state else "is missing from the state"
            fault = f"{self._label()}: the reward {shown(key)} {what} at turn {self.turns}; it counts as unchanged"
            return Turn(reward=0.0, terminated=self.is_over, fault=fault)
        reward, self._value = number - self._value, number
        return Turn(reward=reward, terminated=self.is_over, fault=None)

    def _check_new_game(self, game: object, previous: object) -> None:
        if not isinstance(game, Game):
            raise GameFailedError(f"it returned {shown(game)}, which is no Game; end the function with `return game`")
        if game is previous:
            raise GameFailedError("it returned the same Game twice; build a new Game each time it is called")

    def _label(self) -> str:
        return self.source.label if self.source is not None else getattr(self._factory, "__name__", "the game")


def _readable(value: Any) -> float | None:
    number = finite_number(value)
    return None if number is None or abs(number) > _LARGEST_REWARD else number
