"""Every error that a user of retro-gamer can meet, in one tree.

::

    RetroGamerError               exit status 1 unless noted otherwise
    ├── UsageError                exit status 2: the user can correct what was typed or written
    │   ├── ConfigurationError    wrong fields of a description, config.toml or options, all of them together
    │   ├── GameNotFoundError     no such module, file, folder or factory
    │   ├── DescriptionNotFoundError   no [tool.retro-gamer] section for the game
    │   ├── RunNotFoundError      a directory that does not exist or holds no run
    │   ├── RunExistsError        a run that would be overwritten
    │   └── CheckpointNotFoundError    no checkpoint with that name
    ├── GameFailedError           the game's own code raised an exception; names its file and line
    ├── CheckpointError           a checkpoint that is damaged, foreign or incompatible with the run
    ├── StorageError              the run directory cannot be written
    ├── TerminalError             no terminal, or one too small for the game
    ├── ClusterError              a cluster or storage that cannot be reached, denies access or has no room
    └── EngineError               Ray did not start, or an essential process was lost
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

LONGEST_LINE = 500
"""Characters of another program's message that are quoted in ours."""


class RetroGamerError(Exception):
    """Base of every error whose message is meant for the user. Any other exception is a bug in retro-gamer."""

    exit_code = 1


class UsageError(RetroGamerError):
    """The user typed or wrote something wrong; the message explains how to correct it."""

    exit_code = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """One wrong field: its name, its value, the rule it breaks and a correct line to paste."""

    field: str
    value: object
    rule: str
    remedy: str

    def __str__(self) -> str:
        """Return three lines. A value of None means that the field is missing: TOML has no null."""
        value = str(self.value).lower() if isinstance(self.value, bool) else quoted(self.value)
        named = self.field if self.value is None else f"{self.field} = {value}"
        return f"{named}\n    {self.rule}\n    try: {self.remedy}"


class ConfigurationError(UsageError):
    """All problems of one description, configuration or set of options, reported together."""

    def __init__(self, problems: Sequence[Problem], where: str) -> None:
        self.problems = tuple(problems)
        self.where = where
        count = len(self.problems)
        title = f"{count} {'problem' if count == 1 else 'problems'} in {where}:"
        super().__init__("\n".join([title, *(f"  {problem}" for problem in self.problems)]))

    def __reduce__(self) -> tuple[type[ConfigurationError], tuple[tuple[Problem, ...], str]]:
        """Support pickling, so that the error can be raised in another process."""
        return type(self), (self.problems, self.where)


class GameNotFoundError(UsageError):
    """The module, file, folder or factory named as the game does not exist."""


class DescriptionNotFoundError(UsageError):
    """The game has no [tool.retro-gamer] section and no built-in description."""


class RunNotFoundError(UsageError):
    """The run directory does not exist or holds no run of retro-gamer."""


class RunExistsError(UsageError):
    """The directory already holds a run; only --force overwrites it."""


class CheckpointNotFoundError(UsageError):
    """The run has no checkpoint with that name."""


class GameFailedError(RetroGamerError):
    """The game's own code raised an exception while it was imported, built or played."""


class CheckpointError(RetroGamerError):
    """The checkpoint is damaged, was not written by retro-gamer, or is incompatible with this run."""


class StorageError(RetroGamerError):
    """The run directory cannot be written: the disk is full, or permission is denied."""


class TerminalError(RetroGamerError):
    """The terminal cannot show the game."""


class ClusterError(RetroGamerError):
    """A cluster or storage cannot be reached, denies access, has no room, or runs another version."""


class EngineError(RetroGamerError):
    """Ray did not start, or a process that training needs was lost."""


def quoted(value: object, limit: int = 60) -> str:
    """Return the repr of `value`, cut to `limit` characters, for use in a message.

    The repr escapes control characters, so that no text from a game or a file reaches a terminal raw. A value whose
    repr fails (a number of thousands of digits, an object of a game) is named by its type.
    """
    try:
        text = repr(value)
    except Exception:
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def printable(text: str) -> str:
    """Return `text` with its control characters and escape sequences escaped; newlines and tabs stay.

    Use it on any text that comes from a game, a file or another process.
    """
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def first_line(error: BaseException) -> str:
    """Return the first non-blank line of an error's message, or the error's type if there is none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return printable(lines[0][:LONGEST_LINE] if lines else type(error).__name__)
