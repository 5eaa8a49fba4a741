"""Probe a game on all cores: start processes with a watchdog, and combine their findings."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from retro_gamer.errors import GameFailedError, RetroGamerError
from retro_gamer.games.description import FoundDescription, find_description
from retro_gamer.games.loading.find import GameSource, describe_source, find_source
from retro_gamer.games.loading.processes import isolated_start
from retro_gamer.games.loading.sandbox import enter_temporary_folder
from retro_gamer.games.loading.watchdog import Watchdog, discard_output, starved_seconds
from retro_gamer.games.probe.findings import ProbeFindings, combine
from retro_gamer.games.probe.game_probe import Probe, ProbePlan

SEEDS_APART = 1_000_003
SILENCE_SECONDS = 30.0
"""A process may be silent this much longer than a game may hang, not counting time without a CPU."""
REPORT_SECONDS = 0.1

Report = Callable[[int], None]
"""Takes the turns played so far by all processes."""


def find_game(game: str) -> tuple[GameSource, FoundDescription | None]:
    """Return the source of a game, with its described factory and answers, and its description if it has one.

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
    """Return the combined findings of that many processes, each with its own seeds.

    Raises:
        GameNotFoundError, GameFailedError: if the game cannot be started, or ends its process.
    """
    workers: dict[Connection, BaseProcess] = {}
    with isolated_start() as context:
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
    turns: dict[Connection, int] = {}
    results: dict[Connection, ProbeFindings] = {}
    while len(results) < len(workers):
        ready = _wait([connection for connection in workers if connection not in results], workers, silence_seconds)
        if not ready:
            raise GameFailedError(
                f"the game does not respond: its process was silent for {silence_seconds:g} seconds. A turn takes too "
                "long or never ends, or building the game does."
            )
        for connection in ready:
            assert isinstance(connection, Connection)
            message = _receive(connection, workers[connection], has_started=connection in turns)
            if isinstance(message, RetroGamerError):
                raise message
            if isinstance(message, ProbeFindings):
                results[connection] = message
            else:
                turns[connection] = message
                report(sum(turns.values()))
    return [results[connection] for connection in workers]


def _wait(silent: list[Connection], workers: dict[Connection, BaseProcess], seconds: float) -> list[Any]:
    """Return the connections with a message, none after a timeout, which excludes time without a CPU."""
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


def _receive(connection: Connection, process: BaseProcess, has_started: bool) -> Any:
    try:
        return connection.recv()
    except EOFError:
        process.join()
        if not has_started:
            raise GameFailedError(
                f"a helper process ended before it reached the game (exit status {process.exitcode}). The reason, if "
                "Python gave one, is printed above."
            ) from None
        raise GameFailedError(
            f"the game ended its whole process (exit status {process.exitcode}): it calls os._exit(), or one of "
            "its libraries crashed"
        ) from None


def _play_share(plan: ProbePlan, connection: Connection) -> None:
    """Probe the game in this process; send turns, 0 before the first game, then the findings or an error."""
    connection.send(0)
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
