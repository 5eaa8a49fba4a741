"""Finding out about a game on every core: processes that play it, watched, and what they found put together."""

from __future__ import annotations

import dataclasses
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from retro_gamer.errors import GameFailedError, RetroGamerError
from retro_gamer.games.description import FoundDescription, find_description
from retro_gamer.games.loading.find import GameSource, describe_source, find_source
from retro_gamer.games.loading.sandbox import enter_temporary_folder
from retro_gamer.games.loading.watchdog import Watchdog, discard_output, starved_seconds
from retro_gamer.games.probe.findings import ProbeFindings, combine
from retro_gamer.games.probe.game_probe import Probe, ProbePlan

SEEDS_APART = 1_000_003
SILENCE_SECONDS = 30.0
"""Waited for a process beyond the time after which it interrupts a game that hangs. Being starved is extra."""
REPORT_SECONDS = 0.1

Report = Callable[[int], None]
"""Takes the turns played so far by all processes."""


def find_game(game: str) -> tuple[GameSource, FoundDescription | None]:
    """Return where a game is, as its description says if it has one, and that description.

    Raises:
        GameNotFoundError, ConfigurationError (a pyproject.toml that is not TOML)
    """
    from retro_gamer.errors import DescriptionNotFoundError

    source = find_source(game)
    try:
        found = find_description(source)
    except DescriptionNotFoundError:
        return source, None
    return describe_source(source, found.values), found


def probe_in_processes(plan: ProbePlan, n_processes: int, report: Report) -> ProbeFindings:
    """Return what that many processes found, each from seeds of its own.

    Raises:
        GameNotFoundError, GameFailedError: if the game cannot be started, or takes its process with it.
    """
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, BaseProcess] = {}
    for number in range(n_processes):
        ours, theirs = context.Pipe(duplex=False)
        share = dataclasses.replace(plan, seed=plan.seed + number * SEEDS_APART, turns=plan.turns // n_processes)
        process: BaseProcess = context.Process(target=_play_share, args=(share, theirs), daemon=True)
        process.start()
        theirs.close()
        workers[ours] = process
    try:
        return combine(_collect(workers, report, plan.hang_seconds + SILENCE_SECONDS))
    finally:
        for process in workers.values():
            process.kill()
            process.join()


def _collect(workers: dict[Connection, BaseProcess], report: Report, silence_seconds: float) -> list[ProbeFindings]:
    turns = dict.fromkeys(workers, 0)
    results: dict[Connection, ProbeFindings] = {}
    while len(results) < len(workers):
        ready = _wait([connection for connection in workers if connection not in results], workers, silence_seconds)
        if not ready:
            raise GameFailedError(
                f"the game does not come back: nothing was heard of it for {silence_seconds:g} seconds. A turn, or "
                "building the game, takes too long or never ends."
            )
        for connection in ready:
            assert isinstance(connection, Connection)
            told = _receive(connection, workers[connection])
            if isinstance(told, RetroGamerError):
                raise told
            if isinstance(told, ProbeFindings):
                results[connection] = told
            else:
                turns[connection] = told
                report(sum(turns.values()))
    return [results[connection] for connection in workers]


def _wait(silent: list[Connection], workers: dict[Connection, BaseProcess], seconds: float) -> list[Any]:
    """Return those that have something to tell, none if nothing came in time; a process kept waiting is given more."""
    processes = [workers[connection].pid or "self" for connection in silent]
    started, before = time.monotonic(), [starved_seconds(process) for process in processes]
    remaining = seconds
    while remaining > 0:
        ready = wait(silent, remaining)
        if ready:
            return ready
        excused = max(starved_seconds(process) - was for process, was in zip(processes, before, strict=True))
        remaining = started + seconds + excused - time.monotonic()
    return []


def _receive(connection: Connection, process: BaseProcess) -> Any:
    try:
        return connection.recv()
    except EOFError:
        process.join()
        raise GameFailedError(
            f"the game ended its whole process (exit status {process.exitcode}): it calls os._exit(), or a library "
            "that it uses crashed"
        ) from None


def _play_share(plan: ProbePlan, connection: Connection) -> None:
    """Play in a process of its own, and send turns, then findings or an error."""
    discard_output(0, 1, 2)
    enter_temporary_folder(plan.source)
    last = 0.0

    def report(turns: int) -> None:
        nonlocal last
        if time.monotonic() - last > REPORT_SECONDS:
            last = time.monotonic()
            connection.send(turns)

    try:
        with Watchdog(plan.hang_seconds):
            connection.send(Probe(plan, report).run())
    except RetroGamerError as error:
        connection.send(error)
    connection.close()
