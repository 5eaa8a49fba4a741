"""The findings of a probe, in plain values that several processes can combine, and the description they propose."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from retro_gamer.errors import printable, quoted
from retro_gamer.games.board import LARGEST_CHARACTER_COUNT
from retro_gamer.games.loading.keys import LARGEST_ACTION_COUNT
from retro_gamer.games.observation import finite_number
from retro_gamer.games.rewards import is_win
from retro_gamer.games.validation import END, SIGNALS, TURNS

_MOST_VALUES = 6
_MOST_FAILURES = 5


@dataclasses.dataclass(kw_only=True)
class StateKey:
    """The values of one key of the state. `changes` counts the turns that changed it."""

    types: set[str] = dataclasses.field(default_factory=set)
    low: float | None = None
    high: float | None = None
    values: list[str] = dataclasses.field(default_factory=list)
    changes: int = 0
    steady_steps: Counter[float] = dataclasses.field(default_factory=Counter)
    """How often the number grew by each of the first few amounts."""

    @property
    def is_number(self) -> bool:
        """Whether every value was a finite number."""
        return self.low is not None and not self.values

    def add_value(self, value: Any, before: Any) -> None:
        """Add the value after a turn and the one before it."""
        self.types.add(type(value).__name__)
        number = finite_number(value)
        if number is None:
            text = printable(quoted(value, 40))
            if text not in self.values and len(self.values) < _MOST_VALUES:
                self.values.append(text)
        else:
            self.low = number if self.low is None else min(self.low, number)
            self.high = number if self.high is None else max(self.high, number)
        if value is before or value == before:
            return
        self.changes += 1
        earlier = finite_number(before)
        if number is not None and earlier is not None and len(self.steady_steps) < _MOST_VALUES:
            self.steady_steps[number - earlier] += 1

    def add(self, other: StateKey) -> None:
        """Add the values that another process found."""
        self.types |= other.types
        self.values += [v for v in other.values if v not in self.values][: _MOST_VALUES - len(self.values)]
        lows = [n for n in (self.low, other.low) if n is not None]
        highs = [n for n in (self.high, other.high) if n is not None]
        self.low, self.high = min(lows, default=None), max(highs, default=None)
        self.changes += other.changes
        self.steady_steps += other.steady_steps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed game: its seed, the turn (0 while it was built), and the description of the error."""

    seed: int
    turn: int
    text: str


@dataclasses.dataclass(kw_only=True)
class KeyEffects:
    """The effects of a key, compared with the no-op in the same turn of the same game."""

    tries: int = 0
    changed: int = 0
    ended: int = 0
    outcomes: dict[str, str] = dataclasses.field(default_factory=dict)
    """By moment, a fingerprint of the turns after the key."""

    def add(self, other: KeyEffects) -> None:
        """Add the effects that another process found."""
        self.tries += other.tries
        self.changed += other.changed
        self.ended += other.ended
        self.outcomes |= other.outcomes


@dataclasses.dataclass(frozen=True, kw_only=True)
class GamePay:
    """What each reward would have paid in one random game: the change of each number of the state, and the signals."""

    has_ended: bool
    pay: dict[str, float]


@dataclasses.dataclass(kw_only=True)
class ProbeFindings:
    """Everything that a probe has found out about a game."""

    how: str = ""
    board_size: tuple[int, int] = (0, 0)
    view_size: tuple[int, int] = (0, 0)
    sharing: str | None = None
    keys_in_code: tuple[str, ...] = ()
    certain_keys: tuple[str, ...] = ()
    """Those of them that are keys beyond doubt (see `find_certain_keys`)."""
    turns: int = 0
    seconds: float = 0.0
    start_seconds: float = 0.0
    episode_turns: list[int] = dataclasses.field(default_factory=list)
    cut_short: int = 0
    games: list[GamePay] = dataclasses.field(default_factory=list)
    agents: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """The names of each agent that was observed (see `names_of_all`)."""
    characters: Counter[str] = dataclasses.field(default_factory=Counter)
    player: str | None = None
    """The label of the player."""
    movers: list[str] = dataclasses.field(default_factory=list)
    """If several agents handle keys, the one that keys move most."""
    state: dict[str, StateKey] = dataclasses.field(default_factory=dict)
    messages_at_end: Counter[str] = dataclasses.field(default_factory=Counter)
    failures: list[Failure] = dataclasses.field(default_factory=list)
    n_failures: int = 0
    repeats: bool | None = None
    """Whether the same seed gives the same game twice; None if not tried."""
    ignores_seed: bool = False
    """Whether several seeds all gave the same game."""
    compared_games: int = 0
    compared_turns: int = 0
    """The length of the longest of the games that were compared for that."""
    keys: dict[str, KeyEffects] = dataclasses.field(default_factory=dict)
    swept: set[str] = dataclasses.field(default_factory=set)
    """Every key that was pressed in a sweep."""
    acting: tuple[str, ...] = ()
    """Those that changed something there."""
    failing_keys: dict[str, str] = dataclasses.field(default_factory=dict)
    """The keys that make the game fail, with the error."""
    any_key: int = 0
    """How often even a key that no game names changed something."""

    @property
    def episodes(self) -> int:
        """The number of games that ended or were cut short."""
        return len(self.episode_turns) + self.cut_short

    @property
    def turns_per_second(self) -> float:
        """Turns per second of one process, without observations."""
        return self.turns / self.seconds if self.seconds else 0.0

    @property
    def mostly_fails(self) -> bool:
        """Whether at least half of the games failed, or no key acts and some make the game fail."""
        return self.n_failures > 0 and self.n_failures >= self.episodes

    def add(self, other: ProbeFindings) -> None:
        """Add the findings of another process."""
        self.turns += other.turns
        self.seconds += other.seconds
        self.start_seconds = max(self.start_seconds, other.start_seconds)
        self.episode_turns += other.episode_turns
        self.cut_short += other.cut_short
        self.agents += [names for names in other.agents if names not in self.agents]
        self.characters += other.characters
        self.player = self.player or other.player
        self.movers += other.movers
        self.messages_at_end += other.messages_at_end
        self.failures += other.failures[: max(0, _MOST_FAILURES - len(self.failures))]
        self.n_failures += other.n_failures
        self.sharing = self.sharing or other.sharing
        self.repeats = _both(self.repeats, other.repeats)
        self.ignores_seed = self.ignores_seed and other.ignores_seed
        self.compared_games += other.compared_games
        self.compared_turns = max(self.compared_turns, other.compared_turns)
        self.games += other.games
        self.swept |= other.swept
        self.acting = tuple(dict.fromkeys((*self.acting, *other.acting)))
        self.failing_keys = {**other.failing_keys, **self.failing_keys}
        self.any_key += other.any_key
        for name, state in other.state.items():
            self.state.setdefault(name, StateKey()).add(state)
        for key, effects in other.keys.items():
            self.keys.setdefault(key, KeyEffects()).add(effects)


def combine(parts: Iterable[ProbeFindings]) -> ProbeFindings:
    """Return the findings of all processes together. How the game starts is that of the first."""
    whole, *rest = parts
    for part in rest:
        whole.add(part)
    return whole


def _both(first: bool | None, second: bool | None) -> bool | None:
    if first is None or second is None:
        return second if first is None else first
    return first and second


_SCORE_NAMES = ("reward", "score", "points", "coins", "gold", "money", "apples", "level", "distance", "kills", "wins")
_LOSS_NAMES = (
    *("lost", "loss", "miss", "death", "damage", "error", "penalty", "wrong", "danger", "fail", "over", "dead"),
    *("enem", "opponent", "computer", "cpu", "zombie", "monster", "player2", "player 2", "player_2", "p2"),
)
_FEWEST_GAMES = 2
_FEWEST_TRIALS = 3
_NEARLY_ALL = 0.95
VIEW_PAYS = 4
"""The window is proposed if the board has at least this many times its cells."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyVerdict:
    """A verdict on the keys."""

    effective: tuple[str, ...]
    """Those that changed something, in the order of the code."""
    idle: tuple[str, ...]
    """Those named in the code that never changed anything."""
    unproven: tuple[str, ...]
    """Those of them that are keys beyond doubt, so that they are proposed all the same."""
    same: tuple[tuple[str, ...], ...]
    """Groups of keys that always had the same effect."""
    quitting: tuple[str, ...]
    """Those that only ever ended the game."""
    failing: tuple[str, ...]
    """Those that made the game fail and never did anything else."""
    tried: bool
    """False if keys could not be tried; the verdict then uses only the code."""


def judge_keys(findings: ProbeFindings) -> KeyVerdict:
    """Return the verdict on the keys."""
    shown = set(findings.characters)
    named = [key for key in findings.keys_in_code if len(key) > 1 or key not in shown or _had_effect(findings, key)]
    tried = bool(findings.keys or findings.swept)
    effective = tuple(
        key for key in dict.fromkeys((*named, *findings.acting, *findings.keys)) if _had_effect(findings, key)
    )
    if findings.any_key >= _FEWEST_TRIALS and not effective:
        effective = (" ",)  # any key acts, whichever it is
    quitting = tuple(
        key for key in effective if key in findings.keys and findings.keys[key].ended == findings.keys[key].changed > 2
    )
    failing = tuple(key for key in findings.failing_keys if key not in effective)
    idle = tuple(key for key in named if tried and key not in effective and key not in failing)
    return KeyVerdict(
        effective=effective if tried else tuple(named),
        idle=idle,
        unproven=tuple(key for key in idle if key in findings.certain_keys),
        same=_find_same(findings, effective),
        quitting=quitting,
        failing=failing,
        tried=tried,
    )


def propose_actions(findings: ProbeFindings) -> list[str]:
    """Return the keys worth pressing: one of each group with the same effect, none that only ends the game.

    None are proposed if no key does anything and the code names none.
    """
    verdict = judge_keys(findings)
    doubles = {key for group in verdict.same for key in group[1:]}
    keys = [key for key in verdict.effective if key not in doubles and key not in verdict.quitting]
    return [*keys, *verdict.unproven][:LARGEST_ACTION_COUNT]


def rank_rewards(findings: ProbeFindings) -> list[str]:
    """Return the candidates for `reward`, the best first; last the keys that count losses.

    Those that cannot tell a good game from a bad one come after those that can.
    """
    numbers = [name for name, key in findings.state.items() if key.is_number and key.changes]
    losses = [name for name in numbers if _counts_losses(name) or _only_marks_the_end(findings, name)]
    clocks = [name for name in numbers if _is_clock(findings, name)]
    values = [name for name in numbers if name not in clocks and name not in losses]
    values.sort(key=lambda name: (_score_rank(name), -findings.state[name].changes, name))
    losses.sort(key=lambda name: (-findings.state[name].changes, name))
    growing = [name for name in clocks if max(findings.state[name].steady_steps) > 0 and name not in losses]
    named = [name for name in growing if _score_rank(name) < len(_SCORE_NAMES)]
    scores = [name for name in values if _score_rank(name) < len(_SCORE_NAMES)]
    others = [name for name in values if name not in scores]
    is_won = max(pays(findings, END), default=0) > 0 or any(map(is_win, findings.messages_at_end))
    signals = [END, TURNS] if is_won else [TURNS, END]
    ranked = [*scores, *named, *others, *signals, *losses]
    return sorted(ranked, key=lambda name: name in losses or not can_tell(findings, name))


def pays(findings: ProbeFindings, reward: str) -> list[float]:
    """Return what a reward would have paid in each random game, the signal of the end only in those that ended."""
    return [game.pay.get(reward, 0.0) for game in findings.games if game.has_ended or reward != END]


def can_tell(findings: ProbeFindings, reward: str) -> bool:
    """Return whether a reward tells good games from bad ones, or may do so: few games are no evidence against it."""
    ended = [game.pay.get(reward, 0.0) for game in findings.games if game.has_ended]
    if reward in SIGNALS:
        values = set(pays(findings, reward))
        return not findings.games or (bool(ended) and (len(values) > 1 or len(findings.games) == 1))
    known = findings.state.get(reward)
    return (
        known is not None and known.changes > 0 and (len(ended) < _FEWEST_GAMES or len(set(ended)) > 1 or ended[0] > 0)
    )


def _only_marks_the_end(findings: ProbeFindings, name: str) -> bool:
    """Return whether a number changed only in the last turn of games that ended, each time. That may be a defeat."""
    ended = [game.pay.get(name, 0.0) for game in findings.games if game.has_ended]
    others = [game.pay.get(name, 0.0) for game in findings.games if not game.has_ended]
    is_score = _score_rank(name) < len(_SCORE_NAMES)
    return (
        not is_score and bool(ended) and all(ended) and not any(others) and findings.state[name].changes == len(ended)
    )


def propose_description(findings: ProbeFindings, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that `described` lacks and that the game needs or benefits from."""
    reward = described.get("reward")
    known = findings.state.get(reward) if isinstance(reward, str) else None
    if reward not in SIGNALS and (known is None or not known.is_number):
        best = rank_rewards(findings)[0]
        reward = best if can_tell(findings, best) else None
    observed = [
        name
        for name, key in findings.state.items()
        if key.is_number and key.changes and name != reward and not _is_clock(findings, name)
    ]
    proposed: dict[str, Any] = {
        "actions": propose_actions(findings),
        "reward": reward,
        "character_set": sorted(c for c, _ in findings.characters.most_common(LARGEST_CHARACTER_COUNT)),
        "spatial": True,
        "observe_state": observed,
    }
    if findings.movers:
        proposed["player"] = findings.movers[0]
    if view_pays(findings):
        proposed["observe"] = "view"
    return {name: value for name, value in proposed.items() if name not in described and value not in ([], None)}


def view_pays(findings: ProbeFindings) -> bool:
    """Return whether the board is many times larger than the visible window."""
    (width, height), (columns, rows) = findings.board_size, findings.view_size
    return width * height >= VIEW_PAYS * columns * rows


def _had_effect(findings: ProbeFindings, key: str) -> bool:
    return key in findings.acting or (key in findings.keys and findings.keys[key].changed > 0)


def _find_same(findings: ProbeFindings, effective: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for key in effective:
        if key in findings.keys and len(findings.keys[key].outcomes) >= _FEWEST_TRIALS:
            groups.setdefault(tuple(sorted(findings.keys[key].outcomes.items())), []).append(key)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _is_clock(findings: ProbeFindings, name: str) -> bool:
    """Return whether a number changed by the same amount in nearly every turn, so that it counts turns."""
    key = findings.state[name]
    return len(key.steady_steps) == 1 and key.changes > _NEARLY_ALL * findings.turns


def _score_rank(name: str) -> int:
    """Return the index of the first usual name of a score in `name`, the number of such names if there is none."""
    lower = name.casefold()
    return next((place for place, usual in enumerate(_SCORE_NAMES) if usual in lower), len(_SCORE_NAMES))


def _counts_losses(name: str) -> bool:
    """Return whether a key, by its name, counts what a player avoids. As a reward it would teach losing."""
    return any(usual in name.casefold() for usual in _LOSS_NAMES)
