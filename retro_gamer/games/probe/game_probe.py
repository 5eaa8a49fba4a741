"""Probe a game: play it at random and try its keys. One process's share of `check`."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable
from typing import Any

from retro_gamer.errors import GameFailedError, printable, quoted
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.game_rules import read_board_size
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.observation import names_of_all
from retro_gamer.games.probe.findings import Failure, KeyEffects, ProbeFindings, StateKey
from retro_gamer.games.probe.key_scan import ARROWS, find_keys
from retro_gamer.games.random_play import RandomPlayer
from retro_gamer.games.session import GameSession, make_player_generator
from retro_gamer.games.validation import TURNS

_OBSERVED_TURNS = 20
_OBSERVED_EVERY = 10
_LONGEST_PREFIX_TURNS = 25
_COMPARED_TURNS = 3
_MOST_TRIALS = 40
_OTHER_SEEDS = 6
_MOST_FAILURES = 5
_EXTRA_KEYS = (" ", "KEY_ENTER", "KEY_ESCAPE")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbePlan:
    """One process's share: its first seed, its turns, and its seconds for random play and for trying keys."""

    source: GameSource
    player: str | None = None
    actions: tuple[str, ...] = ()
    """The described keys, if any. Random play then uses only them."""
    seed: int = 0
    turns: int = 2000
    play_seconds: float = 3.0
    key_seconds: float = 3.0
    most_turns_per_episode: int = 2000
    hang_seconds: float = 60.0


class Probe:
    """Plays a game at random and tries its keys.

    Raises:
        GameNotFoundError, GameFailedError: if the game cannot be loaded or built.
    """

    def __init__(self, plan: ProbePlan, report: Callable[[int], None] = lambda turns: None) -> None:
        self._plan = plan
        self._report = report
        self._launcher = load_factory(plan.source)
        self._random = make_player_generator(plan.seed)
        self.findings = ProbeFindings(how=self._launcher.how)
        self._session = self._make_session(ARROWS)
        self._session.seed(plan.seed)
        started = time.perf_counter()
        self._session.start()
        self.findings.start_seconds = time.perf_counter() - started
        game = self._session.game
        self.findings.board_size = read_board_size(game)
        self.findings.agents = names_of_all(game.agents)
        self.findings.view_size = read_board_size(game, view=True)
        self.findings.keys_in_code = find_keys(self._launcher.modules, game.agents)
        self._keys = tuple(dict.fromkeys((*self.findings.keys_in_code, *_EXTRA_KEYS, *plan.actions))) or ARROWS
        self._session.set_actions(plan.actions or self.findings.keys_in_code or ARROWS)
        self._player = RandomPlayer(self._session, plan.seed, plan.player)

    def run(self) -> ProbeFindings:
        """Play, try the keys, and return the findings."""
        self._play()
        if self.findings.start_seconds < self._plan.key_seconds:  # both build the game many times
            self._compare_seeds()
            self._try_keys()
        self.findings.sharing = self._launcher.sharing
        return self.findings

    def _make_session(self, keys: tuple[str, ...]) -> GameSession:
        metadata = GameMetadata(actions=keys, reward=TURNS)
        return GameSession(self._launcher, metadata, self._plan.source)

    def _play(self) -> None:
        build_seconds = self.findings.start_seconds
        is_slow = build_seconds >= self._plan.key_seconds  # its keys are not tried, so that it may play longer
        deadline = time.monotonic() + self._plan.play_seconds + (self._plan.key_seconds if is_slow else 0)
        player, number, failed_at_once = self._player, 0, 0
        while player.turns < self._plan.turns and failed_at_once < _MOST_FAILURES:
            if number and time.monotonic() + build_seconds > deadline:
                break
            before, seed = player.turns, self._plan.seed + number
            try:
                # The first game was built in the constructor and is played now.
                player.start_game(seed if number else None)
                self._play_episode(deadline)
            except GameFailedError as failure:
                self._add_failure(seed, self._session.turns if player.turns > before else 0, str(failure))
            failed_at_once = 0 if player.turns > before else failed_at_once + 1
            number += 1
        self.findings.turns, self.findings.seconds = player.turns, player.seconds
        self.findings.characters, self.findings.player = player.characters, player.player
        self.findings.agents = list(dict.fromkeys((*self.findings.agents, *player.agents)))
        mover = player.choose_mover()
        self.findings.movers = [] if mover is None else [mover]

    def _play_episode(self, deadline: float) -> None:
        session, player = self._session, self._player
        state = self._read_state(session.game, {})
        while session.turns < self._plan.most_turns_per_episode and player.turns < self._plan.turns:
            player.play_turn()
            state = self._read_state(session.game, state)
            if session.turns <= _OBSERVED_TURNS or session.turns % _OBSERVED_EVERY == 0:
                player.observe()
            if session.is_over:
                self.findings.episode_turns.append(session.turns)
                self._read_messages(session.game)
                return
            self._report(player.turns)
            if time.monotonic() > deadline:
                break
        self.findings.cut_short += 1

    def _read_state(self, game: Any, before: dict[str, Any]) -> dict[str, Any]:
        now = {str(key): value for key, value in game.state.items()}
        for name, value in now.items():
            self.findings.state.setdefault(name, StateKey()).add_value(value, before.get(name, value))
        return now

    def _read_messages(self, game: Any) -> None:
        texts = [str(value) for value in game.state.values() if isinstance(value, str)]
        texts += [str(message) for _, message in game.log_messages[-1:]]
        self.findings.messages_at_end.update(printable(quoted(text, 60)) for text in texts)

    def _add_failure(self, seed: int, turn: int, text: str) -> None:
        self.findings.n_failures += 1
        if len(self.findings.failures) < _MOST_FAILURES:
            self.findings.failures.append(Failure(seed=seed, turn=turn, text=text))

    def _compare_seeds(self) -> None:
        """Play the same actions twice with one seed and once with each of some others."""
        actions = [self._random.randrange(self._session.metadata.n_actions) for _ in range(_LONGEST_PREFIX_TURNS)]
        seed = self._plan.seed
        first, again = self._trace(seed, actions), self._trace(seed, actions)
        if first is not None and again is not None:
            self.findings.repeats = first == again
            others = range(seed + 1, seed + 1 + _OTHER_SEEDS)
            self.findings.ignores_seed = first == again and all(self._trace(s, actions) == first for s in others)

    def _trace(self, seed: int, actions: list[int]) -> list[str] | None:
        """Return a fingerprint of each turn, None if the game fails on the way."""
        session, trace = self._session, []
        try:
            session.seed(seed)
            session.start()
            trace.append(fingerprint(session.game))
            for action in actions:
                if session.is_over:
                    break
                session.step(action)
                self._report(self.findings.turns)
                trace.append(fingerprint(session.game))
        except GameFailedError:
            return None
        return trace

    def _try_keys(self) -> None:
        """Replay a game up to some turn, press each key there, and compare what follows with the no-op."""
        if not self.findings.repeats:
            return
        deadline = time.monotonic() + self._plan.key_seconds
        self._session = self._make_session(self._keys)
        for number in range(_MOST_TRIALS):
            seed = self._plan.seed + number
            length = self._random.randrange(_LONGEST_PREFIX_TURNS) if number else 0
            prefix = [self._random.randrange(len(self._keys)) for _ in range(length)]
            nothing = self._outcome(seed, prefix, len(self._keys), deadline)
            if nothing is None:
                if time.monotonic() > deadline:
                    return
                continue
            outcomes = {key: self._outcome(seed, prefix, i, deadline) for i, key in enumerate(self._keys)}
            if time.monotonic() > deadline:
                return  # the keys of an unfinished round cannot be compared
            for key, outcome in outcomes.items():
                if outcome is not None:
                    self._add_effect(key, f"{seed}/{number}", outcome, nothing)

    def _add_effect(self, key: str, moment: str, outcome: tuple[str, bool], nothing: tuple[str, bool]) -> None:
        effects = self.findings.keys.setdefault(key, KeyEffects())
        effects.tries += 1
        if outcome[0] != nothing[0]:
            effects.changed += 1
            effects.ended += outcome[1] and not nothing[1]
            effects.outcomes[moment] = outcome[0]

    def _outcome(self, seed: int, prefix: list[int], index: int, deadline: float) -> tuple[str, bool] | None:
        """Return a fingerprint of the turns after a key and whether it ends the game at once, None if that fails."""
        session = self._session
        self._report(self.findings.turns)
        try:
            session.seed(seed)
            session.start()
            for action in prefix:
                if session.is_over or time.monotonic() > deadline:
                    return None
                session.step(action)
            if session.is_over:
                return None
            session.step(index)
            ended, prints = session.is_over, [fingerprint(session.game)]
            while not session.is_over and len(prints) < _COMPARED_TURNS:
                session.step(len(self._keys))
                prints.append(fingerprint(session.game))
        except GameFailedError:
            return None
        return "".join(prints), ended


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
