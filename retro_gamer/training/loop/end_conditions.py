"""Processes that were lost, and when a training that gets nowhere for them ends."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, ClassVar, Self

from retro_gamer.errors import EngineError, GameFailedError, printable

LOSSES_IN_A_ROW = 5
"""Losses an actor, with no episode completed in between, after which training stops."""
REPLAY_LOSSES_IN_A_ROW = 3


class WorkerFailures:
    """Counts what was lost since the last progress: an episode for actors, an update for replay."""

    def __init__(self, n_actors: int) -> None:
        self._limit = LOSSES_IN_A_ROW * max(1, n_actors)
        self._actors = 0
        self._worn_out = 0
        self._replays = 0

    def note_episodes(self) -> None:
        """Take note that an actor has completed an episode."""
        self._actors = self._worn_out = 0

    def note_update(self) -> None:
        """Take note that replay has given a batch."""
        self._replays = 0

    def lose_actor(self, reason: str) -> None:
        """Count an actor that was lost.

        Raises:
            EngineError: if too many were in a row.
        """
        self._actors += 1
        if self._actors >= self._limit:
            raise EngineError(
                f"{self._actors} actors in a row were lost before any of their games was over, the last with: "
                f"{printable(reason)}\nIf the game ends the process or uses much memory, try "
                "'retro-gamer train RUN_DIR --actors 0' to see what happens."
            )

    def wear_out_actor(self, reason: str) -> None:
        """Count an actor that was replaced because its process had grown.

        Raises:
            EngineError: if too many were in a row.
        """
        self._worn_out += 1
        if self._worn_out >= self._limit:
            raise EngineError(
                f"{self._worn_out} actors in a row were replaced before any of their games was over, the last because "
                f"{printable(reason)}\nLet them grow further (actor_growth_megabytes), play fewer games at a time "
                "(games_per_actor), or end games sooner (max_turns_per_episode)."
            )

    def lose_replay(self, reason: str) -> None:
        """Count a replay process that was lost.

        Raises:
            EngineError: if too many were in a row.
        """
        self._replays += 1
        if self._replays > REPLAY_LOSSES_IN_A_ROW:
            raise EngineError(
                f"the replay process was lost {self._replays} times without an update in between, the last time with: "
                f"{printable(reason)}\nIf memory ran out, lower memory_capacity. Go on with: --resume latest"
            )


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


class GameFailures:
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


class StopRequest:
    """Notes SIGINT and SIGTERM while it is entered; a second one raises KeyboardInterrupt.

    Handlers are installed explicitly, because a shell's background job starts with SIGINT ignored. Outside the main
    thread no handler can be installed and none is.
    """

    NUMBERS: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._previous: dict[int, Any] = {}

    @property
    def is_made(self) -> bool:
        """Whether a signal has come."""
        return self.signal_number is not None

    def make(self, signal_number: int) -> None:
        """Ask for a stop as that signal does. It is for those who pass one on from another process."""
        self.signal_number = signal_number

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in self.NUMBERS:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.is_made:
            raise KeyboardInterrupt
        self.signal_number = number
