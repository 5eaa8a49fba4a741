"""One game played without a screen."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from retro.errors import IllegalMove
from retro.game import Game
from retro.input import ProgrammaticInput

from retro_gamer.errors import GameFailedError, quoted
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.capture import LeavingGameError, capture
from retro_gamer.games.loading.failures import describe_failure
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.loading.keys import make_keystroke
from retro_gamer.games.loading.launcher import as_factory, load_factory
from retro_gamer.games.loading.watchdog import HungGameError
from retro_gamer.games.observation import finite_number
from retro_gamer.games.rewards import make_signal


def seed_generators(seed: int) -> None:
    """Seed Python's and numpy's global generators, which games draw on."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def unseed_generators() -> None:
    """Let the system seed them."""
    random.seed()
    np.random.seed()


def make_player_generator(seed: int | None) -> random.Random:
    """Return a generator for the player of a game that is seeded with `seed`; None seeds it by the system.

    It differs from the game's own generator. Otherwise random keys would depend on what the game is about to draw.
    """
    return random.Random(None if seed is None else f"player/{seed}")


_LARGEST_REWARD = 1e30  # differences of such values still fit float32
_LOG_MESSAGES_KEPT = 200


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """The result of one turn. `failure` is the reason why the reward could not be read and is 0, or None."""

    reward: float
    terminated: bool
    failure: str | None


_NOTHING = Turn(reward=0.0, terminated=False, failure=None)


class ActionInput(ProgrammaticInput):
    """An input source that presses the key of an action. The framework's `press` works, too."""

    def __init__(self, metadata: GameMetadata) -> None:
        super().__init__()
        self._action_index: int | None = None
        self.set_actions(metadata)

    def set_actions(self, metadata: GameMetadata) -> None:
        """Use the keys of `metadata` from now on."""
        self._keystrokes = tuple(make_keystroke(key) for key in metadata.actions)

    def choose(self, action_index: int) -> None:
        """Press the key of that action in the next turn; the last action presses nothing."""
        self._action_index = action_index

    def collect(self) -> set[Any]:
        """Return the keystrokes of this turn."""
        action_index, self._action_index = self._action_index, None
        if action_index is None:
            pressed: set[Any] = super().collect()
            return pressed
        return {self._keystrokes[action_index]} if action_index < len(self._keystrokes) else set()


class GameSession:
    """Plays games of one factory, one at a time.

    game: the game being played
    turns: the turns played of it
    is_over: whether it has ended
    ended_illegally: whether an `IllegalMove` ended it; the framework then shows no further board
    """

    def __init__(self, factory: Callable[[], Game], metadata: GameMetadata, source: GameSource | None = None) -> None:
        self.metadata = metadata
        self.source = source
        self.game: Any = None
        self.turns = 0
        self.is_over = True
        self.ended_illegally = False
        self._factory = as_factory(factory)
        self._sandbox = self._factory.sandbox
        self._step: Callable[[], Any] = _no_game
        self._signal = make_signal(metadata)
        self._total_signal = 0.0
        self._seed: int | None = None
        self._input = ActionInput(metadata)
        self._raw_value: Any = None
        self._value = 0.0

    @classmethod
    def load(cls, source: GameSource, metadata: GameMetadata) -> GameSession:
        """Return a session of the game at `source`, with its own copy of the game's modules."""
        return cls(load_factory(source), metadata, source)

    def set_actions(self, keys: tuple[str, ...]) -> None:
        """Use these keys as actions from now on, also in the game being played."""
        self.metadata = dataclasses.replace(self.metadata, actions=keys)
        self._input.set_actions(self.metadata)

    def seed(self, seed: int) -> None:
        """Make the next `start` seed Python's and numpy's global generators, which games draw on."""
        self._seed = seed

    def start(self) -> None:
        """Build a new game and start it.

        Raises:
            GameFailedError: if the game's code raises, or does not return a new Game.
        """
        if self._seed is not None:
            seed_generators(self._seed)
            self._seed = None
        self.is_over = True  # also if the next game cannot be built
        try:
            game = self._factory()
            self._check_new_game(game, self.game)
            self._start(game)
        except GameFailedError as error:
            raise GameFailedError(f"{self._label()} cannot be started: {error}") from None
        except (Exception, SystemExit, HungGameError, LeavingGameError) as error:
            raise GameFailedError(f"{self._label()} failed while it was being built: {self._describe(error)}") from None
        self.game = game
        self._step = capture.step_of(game)
        self.turns = 0
        self.is_over = False
        self.ended_illegally = False
        self._total_signal = 0.0
        self._value = _readable(self._raw_value) or 0.0

    def _start(self, game: Any) -> None:
        try:
            self._sandbox.enter()
            game.view = None
            game.input_source = self._input
            game.start()
            self._raw_value = game.state.get(self.metadata.reward)
        finally:
            self._sandbox.exit()

    def step(self, action_index: int) -> Turn:
        """Play one turn and return its reward: the change of the rewarded state, or the value of the signal.

        An `IllegalMove` ends the game, as it does when a person plays. So does leaving Python without an error, and
        playing another game.

        Raises:
            GameFailedError: if the game's code raises any other error; the game is then over.
            ValueError: if the game is over, or there is no such action.
        """
        if self.is_over:
            raise ValueError("no game is being played; call start() first")
        if not 0 <= action_index <= len(self.metadata.actions):
            raise ValueError(f"action {action_index} is outside 0..{len(self.metadata.actions)}")
        self._input.choose(action_index)
        self.turns += 1
        game, sandbox = self.game, self._sandbox
        try:
            sandbox.enter()
            self._step()
        except IllegalMove:
            self.ended_illegally = True
            game.playing = False
        except LeavingGameError:  # it would play another game, which ends this one, or it asks without end
            try:
                capture.take_game()
            except GameFailedError as error:
                self._fail(error)
            game.playing = False
        except SystemExit as error:
            if _is_failure(error):
                self._fail(error)
            game.playing = False
        except (Exception, HungGameError) as error:
            self._fail(error)
        finally:
            if sandbox.exit():
                game.playing = False
        return self._read_turn(game)

    def _read_turn(self, game: Any) -> Turn:
        try:
            if len(game.log_messages) > _LOG_MESSAGES_KEPT:
                del game.log_messages[:-_LOG_MESSAGES_KEPT]  # a game may log one every turn
            self.is_over = not game.playing
            if self._signal is not None:
                reward = self._signal(game)
                self._total_signal += reward
                return Turn(reward=reward, terminated=self.is_over, failure=None)
            value = game.state.get(self.metadata.reward)
            if value is self._raw_value and game.playing:
                return _NOTHING
            self._raw_value = value
            return self._score(value)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> NoReturn:
        self.is_over = True
        raise GameFailedError(f"{self._label()} failed at turn {self.turns}: {self._describe(error)}") from None

    @property
    def sharing(self) -> str | None:
        """Why another game in the same process would share state with this one, None if it would not."""
        return self._factory.sharing

    @property
    def score(self) -> Any:
        """The value of the rewarded key, or the sum of the signal so far."""
        return self._total_signal if self._signal is not None else self.game.state.get(self.metadata.reward)

    def _score(self, value: Any) -> Turn:
        number = _readable(value)
        if number is None:
            key = self.metadata.reward
            what = (
                f"is {quoted(value)}, not a number up to {_LARGEST_REWARD:g},"
                if key in self.game.state
                else "is missing from the state"
            )
            failure = f"{self._label()}: the reward {quoted(key)} {what} at turn {self.turns}; it counts as unchanged"
            return Turn(reward=0.0, terminated=self.is_over, failure=failure)
        reward, self._value = number - self._value, number
        return Turn(reward=reward, terminated=self.is_over, failure=None)

    def _check_new_game(self, game: object, previous: object) -> None:
        if not isinstance(game, Game):
            raise GameFailedError(
                f"it returned {quoted(game)}, which is not a Game; end the function with `return game`"
            )
        if game is previous:
            raise GameFailedError("it returned the same Game twice; build a new Game in each call")

    def _label(self) -> str:
        return self.source.label if self.source is not None else self._factory.label

    def _describe(self, error: BaseException) -> str:
        return describe_failure(error, None if self.source is None else self.source.search_path)


def _no_game() -> None:
    raise ValueError("no game is being played; call start() first")


def _is_failure(error: SystemExit) -> bool:
    """Return whether a game leaves Python because of an error. Otherwise it has ended normally."""
    return isinstance(error.code, int) and error.code != 0


def _readable(value: Any) -> float | None:
    number = finite_number(value)
    return None if number is None or abs(number) > _LARGEST_REWARD else number
