"""The process of an actor: it plays, and reports a crash, a hang or a memory leak of the game."""

from __future__ import annotations

import dataclasses
import os
import re
import resource
import stat
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import ray

from retro_gamer.acting.actor import Grant, Report
from retro_gamer.errors import printable
from retro_gamer.games.loading.importing import is_library
from retro_gamer.games.loading.sandbox import enter_temporary_folder
from retro_gamer.games.loading.watchdog import Watchdog, discard_output
from retro_gamer.learning import set_threads
from retro_gamer.learning.inference import Weights
from retro_gamer.replay.transitions import Block
from retro_gamer.run.files import open_own
from retro_gamer.training.planning.run_spec import RunSpec

MEGABYTE = 1000 * 1000
_LARGEST_REPORT_BYTES = 100_000
REPORTS_PREFIX = "retro-gamer-run-"
"""Begins the name of the folder with the crash reports of a run."""
_ERROR = re.compile(r"^Fatal Python error: (.+)$", re.MULTILINE)
_TIMEOUT = re.compile(r"^Timeout \(", re.MULTILINE)
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)
_STATM = Path("/proc/self/statm")


class CrashReport:
    """The file to which Python writes a traceback when an actor's process crashes, or is ended because it hangs.

    It is in a folder of the trainer that only its user can enter. A process on another machine has no such folder, and
    writes to a file without a name, which nobody reads.
    """

    def __init__(self, folder: str, number: int) -> None:
        self.path = Path(folder) / f"{number}.txt"

    def open(self) -> IO[Any]:
        """Create the file and return it open for writing."""
        if not _is_own_folder(self.path.parent):
            return tempfile.TemporaryFile()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return open(os.open(self.path, flags, 0o600), "wb", buffering=0)

    def take(self) -> str | None:
        """Delete the file and return the cause in one line, None if the file holds none."""
        try:
            with open(open_own(self.path, os.O_RDONLY), "rb") as file:
                text = file.read(_LARGEST_REPORT_BYTES).decode("utf-8", "replace")
            self.path.unlink()
        except OSError:  # there is none, or what is there is not ours to read
            return None
        return describe_crash(text)


def _is_own_folder(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def describe_crash(text: str) -> str | None:
    """Return ``game.py:12: Segmentation fault`` from a traceback of Python's fault handler, None if `text` is none."""
    crash = _ERROR.search(text)
    if crash is None and _TIMEOUT.search(text) is None:
        return None
    places = [(file, line) for file, line in _FRAME.findall(text) if not is_library(file)]
    where = f"{os.path.basename(places[0][0])}:{places[0][1]}: " if places else ""
    what = crash[1] if crash else "it did not return in time (hang_seconds)"
    return printable(f"{where}{what}")


class LeakGuard:
    """Compares the memory of this process with what it was at the start."""

    def __init__(self, limit_megabytes: float) -> None:
        self._limit_bytes = limit_megabytes * MEGABYTE
        self._start_bytes = resident_bytes()

    def find_excess(self) -> str | None:
        """Return by how much the process has grown, in words, if that is beyond the limit; else None."""
        gained = resident_bytes() - self._start_bytes
        if gained <= self._limit_bytes:
            return None
        return (
            f"its memory had grown by {gained / MEGABYTE:,.0f} MB (the game may keep objects it no longer uses; "
            f"actor_growth_megabytes = {self._limit_bytes / MEGABYTE:g})"
        )


def resident_bytes() -> int:
    """Return the memory this process uses, or its peak on systems that report only that."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest


class ActorProcess:
    """An actor in a process of its own. It sends its blocks directly to replay, one at a time.

    Output of the game is discarded: Ray would collect it in files without limit. A game that hangs is interrupted, or
    ends the process; the crash report then holds the reason.
    """

    def __init__(
        self, run_spec: RunSpec, crash_report: CrashReport, *, n_games: int, block_turns: int, seed: int
    ) -> None:
        set_threads(1)
        discard_output(1, 2)
        self._watchdog = Watchdog(run_spec.settings.hang_seconds, crash_report.open())
        self._watchdog.__enter__()
        run_spec = run_spec.located(os.getcwd())
        if run_spec.source is not None:
            enter_temporary_folder(run_spec.source)
        self._actor = run_spec.make_actor(n_games=n_games, block_turns=block_turns, seed=seed)
        self._replay: Any = None
        self._push_result: ray.ObjectRef[int] | None = None
        self._leak_guard = LeakGuard(run_spec.settings.actor_growth_megabytes)

    def play(self, grant: Grant, weights: Weights, replay: Any) -> Report:
        """Play a grant; return once `replay`, the handle of the replay process, has received every block."""
        self._replay = replay
        report = self._actor.play(grant, weights, self._push)
        report = dataclasses.replace(report, replay_turns=max(report.replay_turns, self._wait_for_push()))
        excess = self._leak_guard.find_excess()
        if excess is None:
            return report
        tickets = (*report.unused_tickets, *self._actor.abandon_games())
        return dataclasses.replace(report, unused_tickets=tickets, recycled=excess)

    def _push(self, block: Block) -> int:
        received = self._wait_for_push()
        self._push_result = self._replay.push.remote(block)
        return received

    def _wait_for_push(self) -> int:
        if self._push_result is None:
            return 0
        received: int = ray.get(self._push_result)
        self._push_result = None
        return received
