"""When training ends early: workers lost or games failed too often in a row, or a stop request."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any, ClassVar, Self

from retro_gamer.errors import EngineError, GameFailedError, printable

ACTOR_FAILURES_IN_A_ROW = 5
"""For each actor: so many failures with no episode finished in between end training."""
REPLAY_FAILURES_IN_A_ROW = 4


class FailuresInARow:
    """Counts failures of one kind since the last progress, and raises when there are too many."""

    def __init__(self, limit: int, text: str, remedy: str) -> None:
        self._limit = limit
        self._text = text
        self._remedy = remedy
        self._count = 0

    def reset(self) -> None:
        """Start over: there was progress."""
        self._count = 0

    def add(self, reason: str) -> None:
        """Count one failure.

        Raises:
            EngineError: if it reaches the limit; it names the reason and the remedy.
        """
        self._count += 1
        if self._count >= self._limit:
            raise EngineError(f"{self._text.format(count=self._count)}: {printable(reason)}\n{self._remedy}")


class WorkerFailures:
    """Counts lost actors, recycled actors and lost replay processes.

    An episode is progress of the actors, an update is progress of replay.
    """

    def __init__(self, n_actors: int) -> None:
        limit = ACTOR_FAILURES_IN_A_ROW * max(1, n_actors)
        self.actors = FailuresInARow(
            limit,
            "actors were lost {count} times before any of their games was over; the last reason",
            "If the game ends its process or needs much memory, 'retro-gamer train RUN_DIR --actors 0' shows where.",
        )
        self.recycled = FailuresInARow(
            limit,
            "actors were restarted {count} times before any of their games was over; the last reason",
            "Let actors grow more (actor_growth_megabytes), play fewer games at once (games_per_actor), or end games "
            "sooner (max_turns_per_episode).",
        )
        self.replay = FailuresInARow(
            REPLAY_FAILURES_IN_A_ROW,
            "the replay process was lost {count} times without an update in between; the last reason",
            "If memory ran out, lower memory_capacity. Resume: --resume latest",
        )

    def reset_actors(self) -> None:
        """Start over for actors: one has finished an episode."""
        self.actors.reset()
        self.recycled.reset()


FAILURES_IN_A_ROW = 20
"""So many games that failed before their first turn, with no turn played in between, end training."""
MOST_KINDS = 50
"""Kinds of failure that are reported; a game whose every failure is new must not fill the disk."""
_PLACE = re.compile(r"[^\s:]+:\d+: \w+")
_DETAIL = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


def kind_of(failure: str) -> str:
    """Return what failures of one kind share: file, line and error if they name them, otherwise their words.

    Failures that differ only in the turn or in a value are of one kind.
    """
    found = _PLACE.search(failure)
    return found[0] if found else _DETAIL.sub("", failure)


class GameFailures:
    """Describes each kind of failure once, and counts those in a row before any turn."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._in_a_row = 0
        self._n_cut_short = 0

    def describe_cut(self, failure: str) -> str | None:
        """Count a game that was cut short, and describe the failure as `describe` does."""
        self._n_cut_short += 1
        return self.describe("A game was cut short at its last good turn", failure)

    def conclude(self, n_games: int) -> str | None:
        """Return a summary if two or more games were cut short. A single one has already been described."""
        if self._n_cut_short < 2:
            return None
        return f"{self._n_cut_short} of {n_games} games were cut short by errors in the game's code."

    def describe(self, what: str, failure: str) -> str | None:
        """Return a description of the failure, None if its kind was described before."""
        kind = kind_of(failure)
        if kind in self._kinds or len(self._kinds) > MOST_KINDS:
            return None
        self._kinds.add(kind)
        if len(self._kinds) > MOST_KINDS:
            return f"The game has failed in more than {MOST_KINDS} ways; no more are reported."
        return f"{what}: {failure}"

    def count(self, failures: Sequence[str], *, progressed: bool) -> None:
        """Count failures before a first turn; `progressed` if turns were played as well.

        Raises:
            GameFailedError: if there were `FAILURES_IN_A_ROW` with no turn in between; it names the last.
        """
        self._in_a_row = 0 if progressed else self._in_a_row + len(failures)
        if self._in_a_row >= FAILURES_IN_A_ROW:
            raise GameFailedError(
                f"the game failed {self._in_a_row} times in a row before its first turn, the last time with: "
                f"{failures[-1]}"
            )


class StopRequest:
    """A request to end training: the first SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1 or SIGUSR2.

    A window that closes sends SIGHUP, and Slurm warns by the last three; they may come again and again. A second SIGINT
    or SIGTERM raises KeyboardInterrupt. Handlers are installed while it is entered. That of SIGINT is always, because a
    shell starts background jobs with it ignored. A warning that this program ignores (nohup) or handles itself stays
    as it is. Outside the main thread Python allows no handlers, so none are installed.
    """

    NUMBERS: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGINT, signal.SIGTERM)
    WARNINGS: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2)

    def __init__(self, *, heeds_warnings: bool = True) -> None:
        self.signal_number: int | None = None
        self._warnings = self.WARNINGS if heeds_warnings else ()
        self._is_urgent = False
        self._previous: dict[int, Any] = {}

    @property
    def is_made(self) -> bool:
        """Whether a signal was received."""
        return self.signal_number is not None

    def make(self, signal_number: int) -> None:
        """Request a stop as that signal does, for a signal that another process received."""
        self.signal_number = signal_number

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            defaults = [number for number in self._warnings if signal.getsignal(number) is signal.SIG_DFL]
            for number in (*self.NUMBERS, *defaults):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number in self.NUMBERS:
            if self._is_urgent:
                raise KeyboardInterrupt
            self._is_urgent = True
        if not self.is_made:
            self.signal_number = number


@contextlib.contextmanager
def warnings_held_back() -> Iterator[None]:
    """Block the warnings of `StopRequest` in this thread; those that arrive meanwhile are delivered at the end.

    A process that is started in the block never receives them, even if they are sent to the whole process group.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, StopRequest.WARNINGS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
