"""Find the keys that act by pressing every key there is: the same seeded games with and without a key are compared."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from retro_gamer.errors import GameFailedError
from retro_gamer.games.loading.keys import all_keys
from retro_gamer.games.probe.findings import KeyEffects, ProbeFindings
from retro_gamer.games.probe.fingerprint import are_alike, characters_of, fingerprint, remembered, without_keys
from retro_gamer.games.session import GameSession

CONTROL = "KEY_F63"
"""A key that no game names. A key acts only if its game differs from one with this key: any key may start a game."""

_SWEEPS = 8
_VAIN_SWEEPS = 3
"""After so many sweeps that find no other key, it stops."""
_SWEEP_SLOTS = 100
_SWEEP_TAIL_TURNS = 25
_LATEST_START = 60
_SWEEP_TURNS = 10_000
_MANY_KEYS = 48
"""If so many keys change only attributes of agents, the game just remembers the last key."""
_TRIALS = 40
_TRIAL_TURNS = 12_000
_LONGEST_PREFIX_TURNS = 25
_QUIET_TURNS = 3
_BUSY_TURNS = 8
_WALL_FACTOR = 4

Press = str | None
"""The key of one turn, None for no key."""


class Budget:
    """A limit of processor time, so that a busy machine finds what an idle one does; four times that by the clock."""

    def __init__(self, seconds: float) -> None:
        self._end = time.process_time() + seconds
        self._last = time.monotonic() + _WALL_FACTOR * seconds

    @property
    def is_spent(self) -> bool:
        """Whether the time is over."""
        return time.process_time() > self._end or time.monotonic() > self._last


Moment = tuple[str, Any]
"""What a turn shows (see `fingerprint`) and what agents remember then (see `remembered`), None if that is not read."""


@dataclasses.dataclass(kw_only=True)
class Playback:
    """A played game. `moments` has one of each turn, `shown` the characters of its agents before the turn."""

    moments: list[Moment] = dataclasses.field(default_factory=list)
    shown: list[set[str]] = dataclasses.field(default_factory=list)
    has_ended: bool = False
    failure: str | None = None
    differs: bool = False
    """Whether it was left because it differed from another one."""

    def differs_from(self, other: Playback, first: int, keys: Collection[str]) -> bool:
        """Return whether the games differ from turn `first` on, but in which of `keys` an agent remembers."""
        if len(self.moments) != len(other.moments):
            return True
        pairs = zip(self.moments[first:], other.moments[first:], strict=True)
        return any(_differ(mine, others, keys) for mine, others in pairs)


class KeyTrials:
    """Presses keys in the games of a session and adds to `findings` what follows. `turns` counts all turns played."""

    def __init__(
        self,
        session: GameSession,
        findings: ProbeFindings,
        seed: int,
        generator: random.Random,
        report: Callable[[], None],
    ) -> None:
        self.turns = 0
        self._session = session
        self._findings = findings
        self._seed = seed
        self._random = generator
        self._budget = Budget(0.0)
        self._report = report
        self._reads_attributes = True

    def play(
        self, seed: int, presses: Sequence[Press], keys: Iterable[str] = (), like: Playback | None = None
    ) -> Playback:
        """Play a game, one press a turn, until it ends, fails, differs from `like`, or `presses` are used up.

        `keys` are those under trial: an agent that only remembers one of them does not differ.
        """
        game, tried, pressed = Playback(), set(keys), {CONTROL}
        try:
            self._begin(seed, presses)
            index_of = {key: i for i, key in enumerate(self._session.metadata.actions)}
            for turn, key in enumerate(presses):
                if self._session.is_over:
                    break
                if key in tried:
                    pressed.add(str(key))
                if like is None:
                    game.shown.append(characters_of(self._session.game))
                self.turns += 1
                self._session.step(len(index_of) if key is None else index_of[key])
                self._report()
                game.moments.append(self._read_moment())
                if like is not None and (
                    turn >= len(like.moments) or _differ(like.moments[turn], game.moments[turn], pressed)
                ):
                    game.differs = True
                    return game
        except GameFailedError as error:
            game.failure = str(error)
            game.differs = like is not None and like.failure is None
            return game
        game.has_ended = self._session.is_over
        game.differs = like is not None and len(game.moments) < len(like.moments)
        return game

    def _read_moment(self) -> Moment:
        game = self._session.game
        return fingerprint(game), remembered(game) if self._reads_attributes else None

    def _begin(self, seed: int, presses: Sequence[Press]) -> None:
        used = tuple(dict.fromkeys(key for key in presses if key is not None))
        if not set(used) <= set(self._session.metadata.actions):
            self._session.set_actions(used)
        self._session.seed(seed)
        self._session.start()

    def sweep(self, hints: Sequence[str], budget: Budget) -> tuple[str, ...]:
        """Press every key in several games, `hints` first, and return those that act."""
        self._budget = budget
        order = tuple(dict.fromkeys((*hints, *all_keys())))
        found = self._sweep_all(order)
        if len(found) > _MANY_KEYS:
            self._reads_attributes = False
            found = self._sweep_all(order)
        return tuple(key for key in order if key in found)

    def _sweep_all(self, order: Sequence[str]) -> set[str]:
        found: set[str] = set()
        before, last = self.turns, 0
        for number in range(_SWEEPS):
            if self._budget.is_spent or self.turns - before > _SWEEP_TURNS or number - last > _VAIN_SWEEPS:
                break
            keys = [key for key in order if key not in found and key not in self._findings.failing_keys]
            known = [key for key in order if key in found] if number % 2 else []
            start = self._random.randrange(_LATEST_START) if number else 0
            new = self._sweep_once(self._seed + number, keys, known, start)
            found |= new
            last = number if new else last
        return found

    def _sweep_once(self, seed: int, keys: list[str], known: list[str], start: int) -> set[str]:
        """Press each of `keys` once, as many in one game as it has turns; `known` keys in every other turn."""
        step = 2 if known else 1
        length = start + _SWEEP_SLOTS * step + _SWEEP_TAIL_TURNS
        base: list[Press] = [self._random.choice(known) if known and turn % 2 == 0 else None for turn in range(length)]
        slots = range(start + step - 1, length - _SWEEP_TAIL_TURNS, step)
        control = [CONTROL if turn in slots else key for turn, key in enumerate(base)]
        if self.play(seed, control).failure is None:
            base = control
        like = self.play(seed, base)
        slots = slots[: sum(slot < len(like.moments) for slot in slots)] or slots[:0]
        found: set[str] = set()
        if like.failure is not None or self._budget.is_spent or self.play(seed, base, like=like).differs:
            return found
        while keys and slots and not self._budget.is_spent:
            waiting = _assign(keys, slots, like.shown)
            found |= self._find_acting(seed, base, like, waiting)
            self._findings.swept.update(waiting.values())
            keys = [key for key in keys if key not in waiting.values()]
        return found

    def _find_acting(self, seed: int, base: list[Press], like: Playback, waiting: dict[int, str]) -> set[str]:
        """Return those of the `waiting` keys (by turn) that make a game differ from `like`; remove them."""
        found: set[str] = set()
        waiting = dict(waiting)
        while waiting and not self._budget.is_spent:
            game = self._play_with(seed, base, like, waiting)
            if not game.differs:
                break
            turn = len(game.moments) if game.failure is not None else len(game.moments) - 1
            slot = self._find_culprit(seed, base, like, [(at, waiting[at]) for at in sorted(waiting) if at <= turn])
            if self._budget.is_spent:
                break
            key = waiting.pop(slot)
            if game.failure is not None and slot == turn:
                self._findings.failing_keys.setdefault(key, game.failure)
            else:
                found.add(key)
        return found

    def _find_culprit(self, seed: int, base: list[Press], like: Playback, pressed: list[tuple[int, str]]) -> int:
        """Return the turn of the first key that makes the game differ, given those before it."""
        low, high = 0, len(pressed)  # the first `low` keys make no difference, the first `high` do
        middle = high - 1
        while high - low > 1 and not self._budget.is_spent:
            if self._play_with(seed, base, like, dict(pressed[:middle])).differs:
                high = middle
            else:
                low = middle
            middle = (low + high) // 2
        return pressed[high - 1][0]

    def _play_with(self, seed: int, base: list[Press], like: Playback, keys: dict[int, str]) -> Playback:
        presses = [keys.get(turn, press) for turn, press in enumerate(base)]
        return self.play(seed, presses, keys.values(), like)

    def compare(self, keys: Sequence[str], budget: Budget) -> None:
        """Press each of `keys` at the same moments of games, and compare with no key and with the control."""
        self._budget = budget
        before = self.turns
        for number in range(_TRIALS):
            if not keys or self._budget.is_spent or self.turns - before > _TRIAL_TURNS:
                return
            seed = self._seed + number
            longest = _LONGEST_PREFIX_TURNS if number % 4 else 4 * _LONGEST_PREFIX_TURNS
            prefix: list[Press] = [
                self._random.choice(keys) for _ in range(self._random.randrange(longest) * (number > 0))
            ]
            rest: list[Press] = [None] * _QUIET_TURNS
            rest += [self._random.choice(keys) for _ in range(_BUSY_TURNS)]
            self._compare_at(seed, prefix, rest, keys, f"{seed}/{number}")

    def _compare_at(self, seed: int, prefix: list[Press], rest: list[Press], keys: Sequence[str], moment: str) -> None:
        n = len(prefix)
        nothing, control = (self.play(seed, [*prefix, key, *rest]) for key in (None, CONTROL))
        if len(nothing.moments) <= n:  # it ends or fails before
            return
        known = {*keys, CONTROL}
        shown, without = ([shown for shown, _ in game.moments] for game in (control, nothing))
        self._findings.any_key += control.failure is None and shown != without
        played: dict[str, Playback] = {}
        for key in keys:
            if self._budget.is_spent:
                return  # the keys of an unfinished round cannot be compared
            played[key] = self.play(seed, [*prefix, key, *rest])
        for key, game in played.items():
            effects = self._findings.keys.setdefault(key, KeyEffects())
            effects.tries += 1
            pair = {key, CONTROL}
            if len(game.moments) <= n:
                self._findings.failing_keys.setdefault(key, game.failure or "")
            elif game.differs_from(nothing, n, pair) and (control.failure or game.differs_from(control, n, pair)):
                effects.changed += 1
                at_once = len(game.moments) == n + 1 and game.has_ended
                effects.ended += at_once and len(nothing.moments) > n + 1
                effects.outcomes[moment] = _digest(game.moments[n:], known)


def _differ(first: Moment, second: Moment, keys: Collection[str]) -> bool:
    return first[0] != second[0] or not are_alike(first[1], second[1], keys)


def _digest(moments: Sequence[Moment], keys: Collection[str]) -> str:
    """Return a short text for some turns that does not depend on which of the `keys` an agent remembers."""
    text = repr([(shown, without_keys(attributes, keys)) for shown, attributes in moments])
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _assign(keys: list[str], slots: Sequence[int], shown: list[set[str]]) -> dict[int, str]:
    """Give each slot a key: a character that an agent shows in that turn, if there is one, else the next in order."""
    waiting = list(keys)
    assigned: dict[int, str] = {}
    for slot in slots:
        fitting = sorted(shown[slot] & set(waiting)) if slot < len(shown) else []
        if fitting:
            assigned[slot] = fitting[0]
            waiting.remove(fitting[0])
    for slot in slots:
        if slot not in assigned and waiting:
            assigned[slot] = waiting.pop(0)
    return assigned
