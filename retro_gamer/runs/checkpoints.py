"""How checkpoint files are called, and which of them a name means."""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
from collections.abc import Sequence
from pathlib import Path

from retro_gamer.errors import UsageError, printable, shown

SUFFIX = ".pt"
FINAL = "final"
LATEST = "latest"
EVERY_EPISODES = 100
"""A checkpoint is kept for good at each multiple of this many episodes."""
BETWEEN_KEPT = 2
"""Of the checkpoints between those: one to go on from, and one to fall back on if it is damaged."""
_NAME = re.compile(r"ep_(\d{4,})|final", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """A checkpoint on disk.

    name: such as ``ep_0100`` or ``final``
    episode: the episode its name tells, None for ``final``
    """

    name: str
    path: Path
    episode: int | None
    size_bytes: int
    modified: datetime.datetime


def checkpoint_name(episode: int) -> str:
    """Return the name of the checkpoint written at `episode`."""
    return f"ep_{episode:04d}"


def is_checkpoint_name(name: str) -> bool:
    """Return whether checkpoints of training may be called `name`."""
    return _NAME.fullmatch(name) is not None


def describe_file(path: Path) -> CheckpointFile:
    """Return the checkpoint at `path`, whatever it is called."""
    name = path.name.removesuffix(SUFFIX)
    found = _NAME.fullmatch(name)
    status = path.stat()
    return CheckpointFile(
        name=name,
        path=path,
        episode=int(found[1]) if found and found[1] else None,
        size_bytes=status.st_size,
        modified=datetime.datetime.fromtimestamp(status.st_mtime).astimezone(),
    )


def list_files(directory: Path) -> list[CheckpointFile]:
    """Return the checkpoints in `directory` by episode, ``final`` last; none if there is no such directory."""
    if not directory.is_dir():
        return []
    files = [
        describe_file(path)
        for path in directory.iterdir()
        if path.suffix == SUFFIX and is_checkpoint_name(path.stem) and path.is_file() and _is_inside(path, directory)
    ]
    return sorted(files, key=lambda file: (file.episode is None, file.episode))


def is_between(episode: int | None) -> bool:
    """Return whether a checkpoint of `episode` (None: ``final``) lies between those that are kept for good."""
    return episode is not None and episode % EVERY_EPISODES != 0


def prunable(files: Sequence[CheckpointFile]) -> list[CheckpointFile]:
    """Return those of `files`, sorted by episode, that may go: the ones between the hundreds but the newest few."""
    between = [file for file in files if is_between(file.episode)]
    return between[:-BETWEEN_KEPT]


def find_file(path: Path) -> Path | None:
    """Return the file at `path`, with or without its ``.pt``, or None."""
    for candidate in (path, path.with_name(path.name + SUFFIX)) if path.name else ():
        if candidate.is_file():
            return candidate
    return None


def find_inside(directory: Path, text: str) -> Path | None:
    """Return the file that `text` names within `directory`, or None if there is none.

    Raises:
        UsageError: if `text` leads out of `directory`: as an absolute path, through ``..`` or through a link.
    """
    named = Path(text)
    if named.is_absolute() and named.parent.is_dir() and _is_inside(named.parent, directory):
        named = Path(os.path.realpath(named.parent)).relative_to(os.path.realpath(directory)) / named.name
    if named.is_absolute() or ".." in named.parts:
        raise _outside(directory, text)
    found = find_file(directory / named)
    if found and not _is_inside(found, directory):
        raise _outside(directory, text)
    return found


def check_name(text: str) -> None:
    """Return if `text` can name a file at all.

    Raises:
        UsageError: if it is empty or holds a null character.
    """
    if not text.strip() or "\0" in text:
        raise UsageError(f"{shown(text)} is no name of a checkpoint; try ep_0100, final or latest")


def _is_inside(path: Path, directory: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def _outside(directory: Path, text: str) -> UsageError:
    return UsageError(
        printable(
            f"the checkpoint {shown(text)} lies outside {directory}, and only files within it are opened.\n"
            "Name one of this run, such as ep_0100, final or latest."
        )
    )
