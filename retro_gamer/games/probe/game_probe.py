"""Probe a game: play it at random and try its keys. One process's share of `check`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from retro_gamer.errors import GameFailedError, printable, quoted
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.game_rules import read_board_size
from retro_gamer.games.loading.find import GameSource
from retro_gamer.games.loading.keys import ARROWS
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.observation import finite_number, names_of_all
from retro_gamer.games.probe.findings import Failure, GamePay, ProbeFindings, StateKey, propose_actions
from retro_gamer.games.probe.key_scan import find_certain_keys, find_keys
from retro_gamer.games.probe.key_trials import Budget, KeyTrials
from retro_gamer.games.random_play import RandomPlayer
from retro_gamer.games.rewards import reward_end
from retro_gamer.games.session import GameSession, make_player_generator
from retro_gamer.games.validation import END, TURNS

_OBSERVED_TURNS = 20
_OBSERVED_EVERY = 10
_REPEATED_TURNS = 200
_LONGEST_COMPARED_TURNS = 1000
_COMPARED_TURNS = 5000
_MOST_COMPARED_GAMES = 120
_OTHER_SEEDS = 6
_MOST_FAILURES = 5
_MOST_GAMES = 1000
_EXTRA_KEYS = (" ", "KEY_ENTER", "KEY_ESCAPE")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbePlan:
    """One process's share: its first seed, its turns, and its seconds for random play and for trying keys."""

    source: GameSource
    player: str | None = None
    actions: tuple[str, ...] = ()
    """The described keys, if any. Random play then uses only them."""
    end: Mapping[str, float] | None = None
    """The described values of a game's end."""
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
        self.findings.certain_keys = find_certain_keys(self._launcher.modules, game.agents)
        self._session.set_actions(plan.actions or self.findings.keys_in_code or ARROWS)
        self._player = RandomPlayer(self._session, plan.seed, plan.player)

    def run(self) -> ProbeFindings:
        """Play, try the keys, and return the findings."""
        is_quick = self.findings.start_seconds < self._plan.key_seconds  # trying keys builds the game many times
        if is_quick:
            self._try_keys()
            self._session.set_actions(self._plan.actions or tuple(propose_actions(self.findings)) or ARROWS)
        self._play(self._plan.seed if is_quick else None)
        if is_quick:
            self._compare_seeds()
        self.findings.sharing = self._launcher.sharing
        return self.findings

    def _make_session(self, keys: tuple[str, ...]) -> GameSession:
        metadata = GameMetadata(actions=keys, reward=TURNS)
        return GameSession(self._launcher, metadata, self._plan.source)

    def _play(self, first_seed: int | None) -> None:
        build_seconds = self.findings.start_seconds
        is_slow = build_seconds >= self._plan.key_seconds  # its keys are not tried, so that it may play longer
        deadline = time.monotonic() + self._plan.play_seconds + (self._plan.key_seconds if is_slow else 0)
        player, number, failed_at_once = self._player, 0, 0
        while player.turns < self._plan.turns and failed_at_once < _MOST_FAILURES:
            if number and time.monotonic() + build_seconds > deadline:
                break
            before, seed = player.turns, self._plan.seed + number
            try:
                # Without a first seed the game that was built in the constructor is played.
                player.start_game(seed if number else first_seed)
                self._play_episode(deadline)
            except GameFailedError as failure:
                self._add_failure(seed, self._session.turns if player.turns > before else 0, str(failure))
            failed_at_once = 0 if player.turns > before else failed_at_once + 1
            number += 1
        self.findings.turns, self.findings.seconds = player.turns, player.seconds
        self.findings.characters, self.findings.player = player.characters, player.player if player.has_player else None
        self.findings.agents = list(dict.fromkeys((*self.findings.agents, *player.agents)))
        mover = player.choose_mover()
        self.findings.movers = [] if mover is None else [mover]

    def _play_episode(self, deadline: float) -> None:
        session, player = self._session, self._player
        state = first = self._read_state(session.game, None)
        while session.turns < self._plan.most_turns_per_episode and player.turns < self._plan.turns:
            player.play_turn()
            state = self._read_state(session.game, state)
            if session.turns <= _OBSERVED_TURNS or session.turns % _OBSERVED_EVERY == 0:
                player.observe()
            if session.is_over:
                self.findings.episode_turns.append(session.turns)
                self._read_messages(session.game)
                break
            self._report(player.turns)
            if time.monotonic() > deadline:
                break
        self.findings.cut_short += not session.is_over
        self._add_pay(first, state)

    def _read_state(self, game: Any, before: dict[str, Any] | None) -> dict[str, Any]:
        now = {str(key): value for key, value in game.state.items()}
        for name, value in now.items():
            self.findings.state.setdefault(name, StateKey()).add_value(
                value, now[name] if before is None else before.get(name)
            )
        return now

    def _add_pay(self, first: dict[str, Any], last: dict[str, Any]) -> None:
        session = self._session
        numbers = {name: finite_number(value) for name, value in last.items()}
        pay = {
            name: number - (finite_number(first.get(name)) or 0.0)
            for name, number in numbers.items()
            if number is not None
        }
        pay[TURNS] = float(session.turns - session.is_over)
        if session.is_over:
            pay[END] = reward_end(session.game, self._plan.end, self._plan.player)
        if len(self.findings.games) < _MOST_GAMES:
            self.findings.games.append(GamePay(has_ended=session.is_over, pay=pay))

    def _read_messages(self, game: Any) -> None:
        texts = [str(value) for value in game.state.values() if isinstance(value, str)]
        texts += [str(message) for _, message in game.log_messages[-1:]]
        self.findings.messages_at_end.update(printable(quoted(text, 60)) for text in texts)

    def _add_failure(self, seed: int, turn: int, text: str) -> None:
        self.findings.n_failures += 1
        if len(self.findings.failures) < _MOST_FAILURES:
            self.findings.failures.append(Failure(seed=seed, turn=turn, text=text))

    def _make_trials(self, session: GameSession) -> KeyTrials:
        return KeyTrials(
            session, self.findings, self._plan.seed, self._random, lambda: self._report(self.findings.turns)
        )

    def _try_keys(self) -> None:
        """Press all keys in copies of the same games, unless a seed does not give the same game twice."""
        trials = self._make_trials(self._make_session(ARROWS))
        keys = tuple(dict.fromkeys((*self._plan.actions, *self.findings.keys_in_code)))
        presses = [self._random.choice((*keys, *ARROWS)) for _ in range(_REPEATED_TURNS)]
        first, again = trials.play(self._plan.seed, presses), trials.play(self._plan.seed, presses)
        self.findings.repeats = first.moments == again.moments
        if self.findings.repeats:
            self.findings.acting = trials.sweep(keys, Budget(self._plan.key_seconds))
            candidates = dict.fromkeys((*keys, *_EXTRA_KEYS, *self.findings.acting))
            usable = [key for key in candidates if key not in self.findings.failing_keys]
            trials.compare(usable, Budget(self._plan.key_seconds / 2))

    def _compare_seeds(self) -> None:
        """Play the same actions in whole games with one seed and some others."""
        if not self.findings.repeats:
            return
        findings, session, seed = self.findings, self._session, self._plan.seed
        budget = Budget(self._plan.key_seconds / 2)
        trials = self._make_trials(session)
        actions = session.metadata.actions
        findings.ignores_seed = True
        while trials.turns < _COMPARED_TURNS and not budget.is_spent and findings.compared_games < _MOST_COMPARED_GAMES:
            presses = [self._random.choice((*actions, None)) for _ in range(_LONGEST_COMPARED_TURNS)]
            first = trials.play(seed, presses)
            if first.failure is not None:
                findings.ignores_seed = False  # there is nothing to say of games that fail
                return
            findings.compared_turns = max(findings.compared_turns, len(first.moments))
            for other in range(seed + 1, seed + 1 + _OTHER_SEEDS):
                findings.compared_games += 1
                if trials.play(other, presses, like=first).differs:
                    findings.ignores_seed = False
                    return
