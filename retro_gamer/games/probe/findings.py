"""What playing a game at random has shown, in plain values that several processes can add up."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

from retro_gamer.errors import printable, shown
from retro_gamer.games.game_rules import finite_number

_MOST_VALUES = 6
_MOST_FAILURES = 5


@dataclasses.dataclass(kw_only=True)
class StateKey:
    """What one key of the state held. `changes` counts turns that changed it, `ends` the values at the end of games."""

    types: set[str] = dataclasses.field(default_factory=set)
    low: float | None = None
    high: float | None = None
    values: list[str] = dataclasses.field(default_factory=list)
    changes: int = 0
    steady_steps: Counter[float] = dataclasses.field(default_factory=Counter)
    """How often the number grew by how much, for the first few amounts."""

    @property
    def is_number(self) -> bool:
        """Whether every value was a finite number."""
        return self.low is not None and not self.values

    def meet(self, value: Any, before: Any) -> None:
        """Take in the value after a turn and the one before it."""
        self.types.add(type(value).__name__)
        number = finite_number(value)
        if number is None:
            text = printable(shown(value, 40))
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
        """Take in what another process met."""
        self.types |= other.types
        self.values += [v for v in other.values if v not in self.values][: _MOST_VALUES - len(self.values)]
        lows = [n for n in (self.low, other.low) if n is not None]
        highs = [n for n in (self.high, other.high) if n is not None]
        self.low, self.high = min(lows, default=None), max(highs, default=None)
        self.changes += other.changes
        self.steady_steps += other.steady_steps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """A game that failed: with which seed, at which turn (0: while it was built), and what it said."""

    seed: int
    turn: int
    text: str


@dataclasses.dataclass(kw_only=True)
class KeyTrials:
    """What a key did in trials against doing nothing from the same turn of the same game."""

    trials: int = 0
    changed: int = 0
    ended: int = 0
    outcomes: dict[str, str] = dataclasses.field(default_factory=dict)
    """By trial, a fingerprint of what followed."""

    def add(self, other: KeyTrials) -> None:
        """Take in what another process tried."""
        self.trials += other.trials
        self.changed += other.changed
        self.ended += other.ended
        self.outcomes |= other.outcomes


@dataclasses.dataclass(kw_only=True)
class Findings:
    """Everything that was found out about a game."""

    how: str = ""
    board_size: tuple[int, int] = (0, 0)
    view_size: tuple[int, int] = (0, 0)
    sharing: str | None = None
    listened: tuple[str, ...] = ()
    turns: int = 0
    seconds: float = 0.0
    start_seconds: float = 0.0
    episode_turns: list[int] = dataclasses.field(default_factory=list)
    cut_short: int = 0
    agents: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """The names by which each agent that was met can be called."""
    characters: Counter[str] = dataclasses.field(default_factory=Counter)
    player: str | None = None
    """What the player found is called."""
    movers: list[str] = dataclasses.field(default_factory=list)
    """Where several agents handle keys, the one that keys move most."""
    state: dict[str, StateKey] = dataclasses.field(default_factory=dict)
    messages_at_end: Counter[str] = dataclasses.field(default_factory=Counter)
    failures: list[Failure] = dataclasses.field(default_factory=list)
    n_failures: int = 0
    repeats: bool | None = None
    """Whether the same seed gives the same game twice; None if that was not tried."""
    ignores_seed: bool = False
    """Whether several seeds all gave the same game."""
    keys: dict[str, KeyTrials] = dataclasses.field(default_factory=dict)

    @property
    def episodes(self) -> int:
        """Games that ended or were cut short."""
        return len(self.episode_turns) + self.cut_short

    @property
    def turns_per_second(self) -> float:
        """Turns in a second of one process, without drawing."""
        return self.turns / self.seconds if self.seconds else 0.0

    def add(self, other: Findings) -> None:
        """Take in what another process found."""
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
        for name, state in other.state.items():
            self.state.setdefault(name, StateKey()).add(state)
        for key, trials in other.keys.items():
            self.keys.setdefault(key, KeyTrials()).add(trials)


def add_up(parts: Iterable[Findings]) -> Findings:
    """Return what all processes found together; the first says how the game starts."""
    whole, *rest = parts
    for part in rest:
        whole.add(part)
    return whole


def _both(first: bool | None, second: bool | None) -> bool | None:
    if first is None or second is None:
        return second if first is None else first
    return first and second
