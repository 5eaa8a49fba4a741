"""Random play: checks a description against a game, and finds the characters and the player that it leaves open."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from retro_gamer.errors import ConfigurationError, GameFailedError, Problem
from retro_gamer.games.board import LARGEST_CHARACTER_COUNT, BoardEncoder
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.game_rules import find_game_problems, find_problems_against, read_board_size
from retro_gamer.games.loading.failures import describe_failure
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.observation import NO_CELL, PlayerFinder, cell_of, label_of, names_of_all
from retro_gamer.games.session import GameSession, Turn, make_player_generator

MOST_TURNS_TO_MEET_THE_PLAYER = 200
"""Limit of the random turns in which a described player may appear that is not there at the start."""
_MOST_FAILED_EPISODES = 10
_DEFAULT = ""
_ABOUT_AS_MUCH = 0.8
_LEAST_SENSITIVITY = 0.05
"""Keys move an agent if it moves in this many more of the turns with a key than of those without."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenedGame:
    """A session whose game was just started, its metadata with the board size, and what is wrong in the metadata."""

    session: GameSession
    metadata: GameMetadata
    problems: list[Problem]

    def checked(self, where: str) -> OpenedGame:
        """Return itself.

        Raises:
            ConfigurationError: if there are problems; `where` names what holds the description.
        """
        if self.problems:
            raise ConfigurationError(self.problems, where)
        return self


def open_game(
    factory: Callable[[], Any], metadata: GameMetadata, source: GameSource | None = None, *, seed: int | None = None
) -> OpenedGame:
    """Start a game, check its description against it and read its board size.

    With a `seed`, the global generators that games draw on are seeded first.

    Raises:
        GameFailedError: if the game cannot be started or has no usable board size.
    """
    session = GameSession(factory, metadata, source)
    if seed is not None:
        session.seed(seed)
    session.start()
    problems = find_session_problems(session)
    board_size = read_board_size(session.game, view=metadata.sees_view)
    return OpenedGame(session=session, metadata=dataclasses.replace(metadata, board_size=board_size), problems=problems)


def find_session_problems(session: GameSession) -> list[Problem]:
    """Return what is wrong in the description of a `session` whose game was just started.

    If the described player is not among the first agents, the game is played at random until it appears.
    """
    game, described = session.game, session.metadata.player
    problems = find_game_problems(session.metadata, game)
    if described is None or all(problem.field != "player" for problem in problems):
        return problems
    state = dict(game.state)
    player = RandomPlayer(session, seed=0)
    player.agents = names_of_all(game.agents)
    with contextlib.suppress(GameFailedError):  # reported when the game is played to learn
        player.start_game()
        while not session.is_over and session.turns < MOST_TURNS_TO_MEET_THE_PLAYER:
            player.play_turn()
            player.observe()
            if any(described in names for names in player.agents):
                break
    return find_problems_against(session.metadata, state, player.agents)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomPlay:
    """What random play has found.

    characters: sorted; the 254 most frequent ones if there are more
    player: the agent that keys move most, None if only one handles keys or the player is described
    has_player: whether a player was on the board
    failures: games that ended in an error of their own, of which `first_failure` describes the first
    """

    characters: tuple[str, ...]
    turns: int
    episodes: int
    player: str | None
    has_player: bool
    failures: int = 0
    first_failure: str | None = None


def play_randomly(session: GameSession, turns: int, seed: int | None, most_turns_per_episode: int = 2000) -> RandomPlay:
    """Play `turns` turns with random actions, the no-op among them; `seed` is that of the actions.

    A game that was just started is the first to be played, because some games take seconds to build.

    Raises:
        GameFailedError: if the first game fails before its first turn, or ten games in a row do.
    """
    player = RandomPlayer(session, seed)
    episodes, failed_at_once = 0, 0
    failures: list[str] = []
    while player.turns < turns:
        before = player.turns
        episodes += 1
        try:
            player.start_game()
            for _ in range(min(most_turns_per_episode, turns - before)):
                turn = player.play_turn()
                if not session.ended_illegally:
                    player.observe()
                if turn.terminated:
                    break
        except GameFailedError as error:
            failures.append(str(error))
            failed_at_once = 0 if player.turns > before else failed_at_once + 1
            if not player.turns or failed_at_once == _MOST_FAILED_EPISODES:
                raise
    frequent = sorted(player.characters, key=lambda c: (-player.characters[c], c))[:LARGEST_CHARACTER_COUNT]
    return RandomPlay(
        characters=tuple(sorted(frequent)),
        turns=player.turns,
        episodes=episodes,
        player=None if session.metadata.player is not None else player.choose_mover(),
        has_player=player.has_player,
        failures=len(failures),
        first_failure=failures[0] if failures else None,
    )


class RandomPlayer:
    """Plays the games of a session at random, and collects what they show.

    turns, seconds: those of all games, without the time to start and to observe them
    characters: how often each was on the observed boards
    agents: the names of each agent that was observed (see `names_of_all`)
    player: the label of the first player that was observed
    """

    def __init__(self, session: GameSession, seed: int | None, described_player: str | None = None) -> None:
        self.turns = 0
        self.seconds = 0.0
        self.characters: Counter[str] = Counter()
        self.agents: list[tuple[str, str]] = []
        self.player: str | None = None
        self._is_on_board = False
        self._session = session
        self._random = make_player_generator(seed)
        self._finder = PlayerFinder(described_player or session.metadata.player)
        self._mover = MoverCount()
        self._encoder = BoardEncoder((), (1, 1))
        self._codes = np.zeros((1, 1), dtype=np.uint8)

    def start_game(self, seed: int | None = None) -> None:
        """Start a new game and observe it. Without a `seed`, a game that was started but not played is taken instead.

        Raises:
            GameFailedError: if it cannot be started or observed.
        """
        session = self._session
        if seed is not None:
            session.seed(seed)
        if seed is not None or session.is_over or session.turns:
            session.start()
        self._encoder = BoardEncoder((), read_board_size(session.game))
        self._codes = np.zeros((self._encoder.height, self._encoder.width), dtype=np.uint8)
        self.observe()

    def play_turn(self) -> Turn:
        """Play one turn with a random action.

        Raises:
            GameFailedError: if the game's code fails.
        """
        session = self._session
        action_index = self._random.randrange(session.metadata.n_actions)
        with _observing():
            self._mover.before(session.game, self._finder)
        started = time.perf_counter()
        turn = session.step(action_index)
        self.seconds += time.perf_counter() - started
        self.turns += 1
        self._mover.after(pressed=action_index < len(session.metadata.actions))
        return turn

    def observe(self) -> None:
        """Collect what the game shows now.

        Raises:
            GameFailedError: if a property of the game fails.
        """
        game, encoder = self._session.game, self._encoder
        encoder.unknown = {}
        with _observing():
            encoder.encode(game, self._codes)
            self.agents = list(dict.fromkeys((*self.agents, *names_of_all(game.agents))))
            player = self._finder.find(game.agents)
            if player is not None:
                self.player = self.player or label_of(player)
                self._is_on_board = self._is_on_board or cell_of(player, (encoder.width, encoder.height)) != NO_CELL
        self.characters.update(encoder.unknown)

    @property
    def has_player(self) -> bool:
        """Whether a player was on the board, the described one or one that there is no doubt about."""
        return self._is_on_board and (self._finder.described is not None or self._mover.is_known)

    def choose_mover(self) -> str | None:
        """Return the label of the agent that keys move most, None if there was never a choice."""
        return self._mover.choose()


@contextlib.contextmanager
def _observing() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise GameFailedError(f"the game cannot be observed: {describe_failure(error)}") from error


class MoverCount:
    """Counts how often each agent that handles keys moves, with a key pressed and without.

    One rule decides who the player is, for `check`, for creating a run and for training.
    """

    def __init__(self) -> None:
        self._moves: dict[str, list[list[int]]] = {}
        self._is_ambiguous = False
        self._before: list[tuple[Any, str, tuple[int, int]]] = []
        self._board_size = (0, 0)

    def before(self, game: Any, finder: PlayerFinder) -> None:
        """Remember where the candidates are before a turn."""
        self._board_size = game.board_size
        candidates = {id(agent) for agent in finder.find_all(game.agents)}
        self._is_ambiguous = self._is_ambiguous or len(candidates) > 1
        self._before = [
            (agent, label, cell_of(agent, self._board_size))
            for agent, (label, _) in zip(game.agents, names_of_all(game.agents), strict=True)
            if id(agent) in candidates
        ]
        if self._before:  # the one that is taken for the player without a description
            self._before.append((self._before[0][0], _DEFAULT, self._before[0][2]))

    def after(self, *, pressed: bool) -> None:
        """Count which of them moved in the turn."""
        for agent, label, cell in self._before:
            counts = self._moves.setdefault(label, [[0, 0], [0, 0]])
            counts[pressed][0] += cell_of(agent, self._board_size) != cell
            counts[pressed][1] += 1

    def choose(self) -> str | None:
        """Return the label of the agent that keys move most.

        None if there was never a choice, if keys move none of them, or if the first agent that handles keys, which is
        taken for the player anyway, moves about as much.
        """
        if not self._is_ambiguous or not self._moves:
            return None
        shares = {label: self._sensitivity(*counts) for label, counts in self._moves.items()}
        best = max(shares, key=lambda label: shares[label])
        return None if self._moves_nobody() or shares[_DEFAULT] >= _ABOUT_AS_MUCH * shares[best] else best

    @property
    def is_known(self) -> bool:
        """Whether there is no doubt who the player is: one agent handles keys, or keys move one of several."""
        return not self._is_ambiguous or not self._moves_nobody()

    def _moves_nobody(self) -> bool:
        return max((self._sensitivity(*counts) for counts in self._moves.values()), default=0.0) < _LEAST_SENSITIVITY

    @staticmethod
    def _sensitivity(without_key: list[int], with_key: list[int]) -> float:
        return with_key[0] / max(1, with_key[1]) - without_key[0] / max(1, without_key[1])
