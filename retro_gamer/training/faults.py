"""Failures of the game: each kind is said once, and a game that only fails is found out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from retro_gamer.errors import GameFailedError

FAILURES_IN_A_ROW = 20
"""Games that failed before their first turn, with no turn played in between, after which training stops."""
MOST_KINDS = 50
"""Kinds of failure that are said; a game whose every failure is new must not fill the disk."""
_PLACE = re.compile(r"[^\s:]+:\d+: \w+")
_DETAIL = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


def kind_of(fault: str) -> str:
    """Return what two failures of one kind share: file, line and error if it names them, else its words.

    What differs only in the turn, or in a value, is the same kind.
    """
    found = _PLACE.search(fault)
    return found[0] if found else _DETAIL.sub("", fault)


class FaultBook:
    """Remembers which kinds of failure were said, and how many came in a row before any turn."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._in_a_row = 0
        self._n_cut_short = 0

    def describe_cut(self, fault: str) -> str | None:
        """Count a game that was cut short, and return what to say of it, as `describe`."""
        self._n_cut_short += 1
        return self.describe("A game was cut short at its last good turn", fault)

    def conclude(self, n_games: int) -> str | None:
        """Return how many of the sitting's games were cut short, None if one was or none: that was said."""
        if self._n_cut_short < 2:
            return None
        return f"{self._n_cut_short} of {n_games} games were cut short by errors of the game's own."

    def describe(self, what: str, fault: str) -> str | None:
        """Return what to say of a failure, None if its kind was said before."""
        kind = kind_of(fault)
        if kind in self._kinds or len(self._kinds) > MOST_KINDS:
            return None
        self._kinds.add(kind)
        if len(self._kinds) > MOST_KINDS:
            return f"The game has failed in more than {MOST_KINDS} ways; no more are told."
        return f"{what}: {fault}"

    def count(self, faults: Sequence[str], *, progressed: bool) -> None:
        """Count failures before a first turn; `progressed` says that turns were played beside them.

        Raises:
            GameFailedError: if `FAILURES_IN_A_ROW` came with nothing played in between, naming the last.
        """
        self._in_a_row = 0 if progressed else self._in_a_row + len(faults)
        if self._in_a_row >= FAILURES_IN_A_ROW:
            raise GameFailedError(
                f"the game failed {self._in_a_row} times in a row before its first turn, the last time with: "
                f"{faults[-1]}"
            )
