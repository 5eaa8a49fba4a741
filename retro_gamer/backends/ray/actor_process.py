"""The plain class that runs as a Ray actor and plays."""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import resource
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import ray

from retro_gamer.acting.actor import Grant, Report
from retro_gamer.errors import printable
from retro_gamer.games.loading.importing import is_library
from retro_gamer.games.loading.sandbox import enter_temporary_folder
from retro_gamer.games.loading.watchdog import Watchdog
from retro_gamer.learning import set_threads
from retro_gamer.learning.inference import Weights
from retro_gamer.replay.transitions import Block
from retro_gamer.training.planning.run_spec import RunSpec

_LARGEST = 100_000
_PREFIX = "retro-gamer"
_ERROR = re.compile(r"^Fatal Python error: (.+)$", re.MULTILINE)
_TIMEOUT = re.compile(r"^Timeout \(", re.MULTILINE)
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)


class CrashReport:
    """The file of one playing process, which Python writes to when that process crashes or is ended for hanging.

    It lies on the machine of that process; read from another one, there is nothing to read.
    """

    def __init__(self, token: str, number: int) -> None:
        self.path = Path(tempfile.gettempdir()) / f"{_PREFIX}-{token}-{number}.txt"

    def open(self) -> IO[str]:
        """Return the file, new and empty, open for writing."""
        return open(self.path, "x", encoding="utf-8")

    def take(self) -> str | None:
        """Remove the file and return what it says in one line, None if it says nothing."""
        try:
            with open(self.path, "rb") as file:
                text = file.read(_LARGEST).decode("utf-8", "replace")
            self.path.unlink()
        except FileNotFoundError:
            return None
        return describe_end(text)


def clear_away(token: str) -> None:
    """Remove what processes of that token left on this machine: one killed at its start may have made one since."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}-{glob.escape(token)}-*.txt"):
        path.unlink(missing_ok=True)


def describe_end(text: str) -> str | None:
    """Return ``game.py:12: Segmentation fault`` from what Python's fault handler wrote, None if it wrote nothing."""
    crash = _ERROR.search(text)
    if crash is None and _TIMEOUT.search(text) is None:
        return None
    places = [(file, line) for file, line in _FRAME.findall(text) if not is_library(file)]
    where = f"{os.path.basename(places[0][0])}:{places[0][1]}: " if places else ""
    what = crash[1] if crash else "it did not come back in time (hang_seconds)"
    return printable(f"{where}{what}")


MEGABYTE = 1000 * 1000
_STATM = Path("/proc/self/statm")


class LeakGuard:
    """Compares the memory of this process with what it was when this was made."""

    def __init__(self, limit_megabytes: float) -> None:
        self._limit_bytes = limit_megabytes * MEGABYTE
        self._began_bytes = resident_bytes()

    def find_excess(self) -> str | None:
        """Return in words by how much the process has outgrown the limit, None if it has not."""
        gained = resident_bytes() - self._began_bytes
        if gained <= self._limit_bytes:
            return None
        return (
            f"it had grown by {gained / MEGABYTE:,.0f} MB (the game seems to keep what it builds; "
            f"actor_growth_megabytes = {self._limit_bytes / MEGABYTE:g})"
        )


def resident_bytes() -> int:
    """Return the memory that this process holds; where only the largest it ever held is known, that."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest


class ActorProcess:
    """An actor in a process of its own. It pushes its blocks straight to replay, one push outstanding.

    What the game prints goes nowhere: Ray would keep it in files without bound. A game that hangs is interrupted or
    takes the process with it; what is known of such an end stands in `last_words`.
    """

    def __init__(
        self, run_spec: RunSpec, last_words: CrashReport, *, n_games: int, block_turns: int, seed: int
    ) -> None:
        set_threads(1)
        silence_output()
        self._watch = Watchdog(run_spec.settings.hang_seconds, last_words.open())
        self._watch.__enter__()
        run_spec = run_spec.located(os.getcwd())
        if run_spec.source is not None:
            enter_temporary_folder(run_spec.source)
        self._actor = run_spec.make_actor(n_games=n_games, block_turns=block_turns, seed=seed)
        self._replay: Any = None
        self._pushed: ray.ObjectRef[int] | None = None
        self._growth = LeakGuard(run_spec.settings.actor_growth_megabytes)

    def play(self, grant: Grant, weights: Weights, replay: Any) -> Report:
        """Play a grant; return once `replay`, the handle of its process, has taken everything played."""
        self._replay = replay
        report = self._actor.play(grant, weights, self._push)
        report = dataclasses.replace(report, replay_turns=max(report.replay_turns, self._wait_for_push()))
        outgrown = self._growth.find_excess()
        if outgrown is None:
            return report
        tickets = (*report.unused_tickets, *self._actor.abandon_games())
        return dataclasses.replace(report, unused_tickets=tickets, recycled=outgrown)

    def _push(self, block: Block) -> int:
        received = self._wait_for_push()
        self._pushed = self._replay.push.remote(block)
        return received

    def _wait_for_push(self) -> int:
        if self._pushed is None:
            return 0
        received = ray.get(self._pushed)
        self._pushed = None
        return received


def silence_output() -> None:
    """Let all that this process and its children print go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
