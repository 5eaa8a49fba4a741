"""Every error a user of retro-gamer can meet, one tree.

::

    RetroGamerError               exit status 1 unless said otherwise
    ├── UsageError                exit status 2: something typed or written can be put right
    │   ├── ConfigurationError    fields of a description, a config.toml or options, all problems together
    │   ├── GameNotFoundError     no such module, file, folder or factory
    │   ├── DescriptionNotFoundError   no [tool.retro-gamer] section for the game
    │   ├── RunNotFoundError      a directory that is missing or holds no run of ours
    │   ├── RunExistsError        a run that would be overwritten or trained over
    │   └── CheckpointNotFoundError    no checkpoint of that name
    ├── GameFailedError           the game's own code raised, with its file and line
    ├── CheckpointError           a checkpoint that is damaged, foreign or does not fit
    ├── StorageError              the run directory cannot be written
    ├── TerminalError             no terminal, or one too small to play in
    ├── ClusterError              a cluster or storage that cannot be reached, refuses us or has no room
    └── EngineError               Ray did not start, or a process that training needs was lost
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


class RetroGamerError(Exception):
    """Base of every error that is a message to the user rather than a fault of ours."""

    exit_code = 1


class UsageError(RetroGamerError):
    """Something the user typed or wrote is wrong and the message says how to mend it."""

    exit_code = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """One wrong field: what it is called, what it holds, the rule it breaks and a line to paste."""

    field: str
    value: object
    rule: str
    remedy: str

    def __str__(self) -> str:
        """Return three lines. A value of None stands for a field that is not there, as TOML has no such value."""
        value = str(self.value).lower() if isinstance(self.value, bool) else shown(self.value)
        named = self.field if self.value is None else f"{self.field} = {value}"
        return f"{named}\n    {self.rule}\n    try: {self.remedy}"


class ConfigurationError(UsageError):
    """Every problem found in one description, configuration or set of options, shown together."""

    def __init__(self, problems: Sequence[Problem], where: str) -> None:
        self.problems = tuple(problems)
        self.where = where
        count = len(self.problems)
        title = f"{count} {'problem' if count == 1 else 'problems'} in {where}:"
        super().__init__("\n".join([title, *(f"  {problem}" for problem in self.problems)]))

    def __reduce__(self) -> tuple[type[ConfigurationError], tuple[tuple[Problem, ...], str]]:
        """Let the error cross from one process to another."""
        return type(self), (self.problems, self.where)


class GameNotFoundError(UsageError):
    """The module, file, folder or factory named as the game does not exist."""


class DescriptionNotFoundError(UsageError):
    """The game has no [tool.retro-gamer] section and no built-in description."""


class RunNotFoundError(UsageError):
    """The directory named as a run is missing or is not a run of retro-gamer."""


class RunExistsError(UsageError):
    """The directory already holds a run, which is never overwritten unasked."""


class CheckpointNotFoundError(UsageError):
    """The run has no checkpoint of that name."""


class GameFailedError(RetroGamerError):
    """The game's own code raised while it was imported, built or played."""


class CheckpointError(RetroGamerError):
    """The checkpoint is damaged, was not written by retro-gamer, or does not fit this run."""


class StorageError(RetroGamerError):
    """The run directory cannot be written: no room, or no permission."""


class TerminalError(RetroGamerError):
    """The terminal cannot show the game."""


class ClusterError(RetroGamerError):
    """A cluster or storage cannot be reached, does not let us in, has no room, or is of another version."""


class EngineError(RetroGamerError):
    """Ray could not be started, or a process that training cannot do without was lost."""


def shown(value: object, limit: int = 60) -> str:
    """Return `value` as a short, printable piece of a message.

    Control characters are escaped, so that no text from a game or a file reaches a terminal raw. A value that cannot
    be spelled, such as a number of thousands of digits or an object of a game whose own spelling fails, is named by
    its type.
    """
    try:
        text = repr(value)
    except Exception:
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def printable(text: str) -> str:
    """Return `text` with every control character (escape sequences too) replaced by its escape.

    Newlines and tabs stay. Use it on any text that comes from a game, a file or another process.
    """
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
