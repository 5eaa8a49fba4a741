"""Playing at random to find out what a description leaves open: the characters, and which agent is the player."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games.board import LARGEST_CHARACTER_COUNT, BoardEncoder
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.game_rules import read_board_size
from retro_gamer.games.loading.failures import describe_failure
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.observation import NO_CELL, PlayerFinder, cell_of, names_of_all
from retro_gamer.games.session import GameSession, make_player_generator

_MOST_FRUITLESS_EPISODES = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Discovery:
    """What random play found.

    `characters` are sorted, the most frequent 254 if there are more. `player` is the agent to describe as
    the player, None where nothing is left to choose. `failures` counts games that ended in an error of
    their own, `first_failure` says what the first one was.
    """

    characters: tuple[str, ...]
    turns: int
    episodes: int
    player: str | None
    has_player: bool
    failures: int = 0
    first_failure: str | None = None


def discover(
    factory: Callable[[], Game],
    metadata: GameMetadata,
    turns: int,
    seed: int | None,
    max_turns_per_episode: int = 2000,
    source: GameSource | None = None,
    started: GameSession | None = None,
) -> Discovery:
    """Return what `turns` turns of random actions (the no-op among them) show.

    With a `seed`, the global generators that games draw on are seeded, too, before the first game is built. `started`
    is a session whose game was just built and is the first to be played: some games take seconds to build.

    Raises:
        GameFailedError: if the game cannot be built, or fails in the first turn of ten games in a row.
    """
    session = started
    if session is None:
        session = GameSession(factory, metadata, source)
        if seed is not None:
            session.seed(seed)
    exploration = _Exploration(session, metadata, seed)
    while exploration.turns < turns:
        exploration.play_episode(min(max_turns_per_episode, turns - exploration.turns))
    return exploration.conclude()


class _Exploration:
    def __init__(self, session: GameSession, metadata: GameMetadata, seed: int | None) -> None:
        self.turns = 0
        self._metadata = metadata
        self._random = make_player_generator(seed)
        self._session = session
        self._finder = PlayerFinder(metadata.player)
        self._mover = MoverCount()
        self._seen: Counter[str] = Counter()
        self._episodes = 0
        self._has_player = False
        self._failures: list[str] = []
        self._fruitless_in_a_row = 0

    def play_episode(self, limit_turns: int) -> None:
        """Play one game to its end or for that many turns."""
        before = self.turns
        self._episodes += 1
        try:
            if self._session.is_over or self._session.turns:
                self._session.start()
            encoder = BoardEncoder((), read_board_size(self._session.game))
            self._play(encoder, limit_turns)
        except GameFailedError as error:
            self._failures.append(str(error))
            self._fruitless_in_a_row = 0 if self.turns > before else self._fruitless_in_a_row + 1
            if (self._episodes == 1 and not self.turns) or self._fruitless_in_a_row == _MOST_FRUITLESS_EPISODES:
                raise

    def _play(self, encoder: BoardEncoder, limit_turns: int) -> None:
        codes = np.zeros((encoder.height, encoder.width), dtype=np.uint8)
        self._look(encoder, codes)
        for _ in range(limit_turns):
            action_index = self._random.randrange(self._metadata.n_actions)
            self._mover.before(self._session.game, self._finder)
            turn = self._session.step(action_index)
            self.turns += 1
            self._mover.after(pressed=action_index < len(self._metadata.actions))
            if not self._session.ended_illegally:
                self._look(encoder, codes)
            if turn.terminated:
                return

    def conclude(self) -> Discovery:
        """Return what was found."""
        frequent = sorted(self._seen, key=lambda c: (-self._seen[c], c))[:LARGEST_CHARACTER_COUNT]
        return Discovery(
            characters=tuple(sorted(frequent)),
            turns=self.turns,
            episodes=self._episodes,
            player=None if self._metadata.player is not None else self._mover.choose(),
            has_player=self._has_player,
            failures=len(self._failures),
            first_failure=self._failures[0] if self._failures else None,
        )

    def _look(self, encoder: BoardEncoder, codes: np.ndarray) -> None:
        game = self._session.game
        encoder.unknown = {}
        try:
            encoder.encode(game, codes)
            cell = self._finder.cell(game.agents, (encoder.width, encoder.height))
        except Exception as error:
            raise GameFailedError(f"the game cannot be observed: {describe_failure(error)}") from error
        self._seen.update(encoder.unknown)
        self._has_player = self._has_player or cell != NO_CELL


class MoverCount:
    """Counts how often each agent that handles keys moves when a key is pressed and when none is."""

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

    def after(self, *, pressed: bool) -> None:
        """Count who moved in the turn just played."""
        for agent, label, cell in self._before:
            counts = self._moves.setdefault(label, [[0, 0], [0, 0]])
            counts[pressed][0] += cell_of(agent, self._board_size) != cell
            counts[pressed][1] += 1

    def choose(self) -> str | None:
        """Return the label of the agent that keys move most, or None if there was never a choice."""
        if not self._is_ambiguous:
            return None
        return max(self._moves, key=lambda label: self._sensitivity(*self._moves[label]))

    @staticmethod
    def _sensitivity(without_key: list[int], with_key: list[int]) -> float:
        return with_key[0] / max(1, with_key[1]) - without_key[0] / max(1, without_key[1])
