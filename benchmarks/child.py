"""Runs a measurement in a process of its own and reads its result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.records import ROOT

MARK = "RESULT "
_RUNNING: set[subprocess.Popen[str]] = set()


class ChildFailedError(RuntimeError):
    """A measurement ended without a result; the text holds the end of what it printed."""


def print_result(values: Mapping[str, Any]) -> None:
    """Print the result of this process for the process that started it."""
    print(MARK + json.dumps(values, allow_nan=False), flush=True)


def run_child(
    command: Sequence[str],
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    folder: Path = ROOT,
) -> dict[str, Any]:
    """Return what the process prints with `print_result`. Afterwards it and all that it started are ended.

    Raises:
        ChildFailedError: if it fails, takes too long or prints no result.
    """
    process = subprocess.Popen(
        list(command),
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _RUNNING.add(process)
    try:
        output, _ = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        end_session(process)
        output, _ = process.communicate()
        raise ChildFailedError(f"no result after {timeout_seconds:.0f} s\n{output[-2000:]}") from None
    except BaseException:
        end_session(process)
        raise
    finally:
        _RUNNING.discard(process)
    results = [line for line in output.splitlines() if line.startswith(MARK)]
    if not results:
        raise ChildFailedError(f"exit status {process.returncode}\n{output[-2000:]}")
    result: dict[str, Any] = json.loads(results[-1][len(MARK) :])
    return result


def end_session(process: subprocess.Popen[Any], timeout_seconds: float = 20) -> None:
    """End a process started in a session of its own, and what it left there: first politely, then for good."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            continue


def end_children() -> None:
    """End every child that other threads wait for; their results are failures then."""
    for process in list(_RUNNING):
        end_session(process)


def end_politely() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that what it started is ended too."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def run_module(module: str, *arguments: str, timeout_seconds: float) -> dict[str, Any]:
    """Return the result of one of our own modules, run with this Python."""
    return run_child([sys.executable, "-m", module, *arguments], timeout_seconds)
