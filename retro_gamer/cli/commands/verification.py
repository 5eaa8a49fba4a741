"""``retro-gamer info --verify``: reads every file of a run and finds out which are whole."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from retro_gamer.errors import RetroGamerError, first_line, printable
from retro_gamer.jobs.submission import NOTE_NAME, load_job_note
from retro_gamer.learning.checkpoint import has_digest, load_checkpoint
from retro_gamer.replay.buffer import check_state
from retro_gamer.replay.snapshot import is_signed, read_snapshot
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory, describe_file
from retro_gamer.run.files import read_file
from retro_gamer.run.log import LARGEST_BYTES as LARGEST_LOG_BYTES
from retro_gamer.run.log import parse_episode
from retro_gamer.run.snapshots import LARGEST_BYTES as LARGEST_SNAPSHOT_BYTES
from retro_gamer.run.status import LARGEST_BYTES as LARGEST_STATUS_BYTES
from retro_gamer.run.status import STATUS_NAME, parse_status
from retro_gamer.toml import read_toml

NO_DIGEST = "of an older version, without a digest: only its form could be checked"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffd]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found out about one file.

    problem: what is damaged, None if the file is whole
    remark: what could not be checked
    """

    file: str
    problem: str | None = None
    remark: str = ""


def verify_run(run: RunDirectory) -> Iterator[Verdict]:
    """Yield a verdict for each file of the run, those moved aside included."""
    for pattern, check in _CHECKS.items():
        for path in sorted(run.path.glob(pattern)):
            name = str(path.relative_to(run.path))
            try:
                yield Verdict(file=name, remark=check(path))
            except (RetroGamerError, ValueError) as error:
                yield Verdict(file=name, problem=first_line(error) if isinstance(error, ValueError) else str(error))
            except OSError as error:
                yield Verdict(file=name, problem=f"it cannot be read: {error.strerror}")


def _check_config(path: Path) -> str:
    load_config(path.parent)
    return ""


def _check_old_config(path: Path) -> str:
    read_toml(path)
    return ""


def _check_log(path: Path) -> str:
    text = read_file(path, LARGEST_LOG_BYTES).decode("utf-8", "replace")
    lines = text.split("\n")
    previous = None
    for number, line in enumerate(lines[:-1], start=1):
        found = parse_episode(line)
        if _CONTROL.search(line) or (found is None and line.startswith("[EP ")):
            raise ValueError(f"line {number} is damaged: {printable(line[:100])}")
        if found is not None and previous is not None and found.episode != previous + 1:
            raise ValueError(f"episode {found.episode} follows episode {previous} in line {number}")
        previous = found.episode if found is not None else previous
    return "its last line is torn; training removes it" if lines[-1] else ""


def _check_checkpoint(path: Path) -> str:
    return "" if has_digest(load_checkpoint(describe_file(path).read(), path.name)) else NO_DIGEST


def _check_snapshot(path: Path) -> str:
    data = read_file(path, LARGEST_SNAPSHOT_BYTES)
    check_state(read_snapshot(data, LARGEST_SNAPSHOT_BYTES))
    return "" if is_signed(data) else NO_DIGEST


def _check_status(path: Path) -> str:
    status = parse_status(read_file(path, LARGEST_STATUS_BYTES))
    status.read_progress()
    status.read_outcome()
    return ""


def _check_note(path: Path) -> str:
    load_job_note(path.parent)
    return ""


_CHECKS: dict[str, Callable[[Path], str]] = {
    "config.toml": _check_config,
    "config.toml.*": _check_old_config,
    "training.log*": _check_log,
    "checkpoints/*.pt": _check_checkpoint,
    "checkpoints/*/*.pt": _check_checkpoint,
    "replay/*.npz": _check_snapshot,
    STATUS_NAME: _check_status,
    NOTE_NAME: _check_note,
}
"""How each file is checked; the text that is returned is a remark."""
