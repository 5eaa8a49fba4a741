"""training.log: how the network came to be, then one line for each completed episode."""

from __future__ import annotations

import dataclasses
import errno
import io
import math
import os
import re
import textwrap
from pathlib import Path

from retro_gamer.errors import printable
from retro_gamer.run.files import first_free, open_own, read_file, write_atomic

_NUMBER = r"-?\d+(?:\.\d+)?|nan|-?inf"
_PATTERN = re.compile(
    rf"\[EP (\d{{4,18}})\] total_reward=({_NUMBER}) steps=(\d{{1,18}}) epsilon=({_NUMBER}) avg_loss=({_NUMBER})",
    re.ASCII,
)
LARGEST_BYTES = 4_000_000_000
"""Of a log that is read: forty million episodes."""
_DECIMALS = 4
_MOST_DECIMALS = 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpisodeLine:
    """One completed episode: its number from 1, total reward, turns, epsilon, and the mean loss since the last line.

    avg_loss is nan if there was no update since then.
    """

    episode: int
    total_reward: float
    steps: int
    epsilon: float
    avg_loss: float


def format_episode(line: EpisodeLine) -> str:
    """Return the line as it is in training.log, without the newline."""
    return (
        f"[EP {line.episode:04d}] total_reward={plain_decimal(line.total_reward)} steps={line.steps} "
        f"epsilon={plain_decimal(line.epsilon)} avg_loss={plain_decimal(line.avg_loss)}"
    )


def parse_episode(text: str) -> EpisodeLine | None:
    """Return the episode of a line of training.log, None if the line is no episode."""
    found = _PATTERN.fullmatch(text.rstrip("\r\n"))
    if not found:
        return None
    episode, total_reward, steps, epsilon, avg_loss = found.groups()
    return EpisodeLine(
        episode=int(episode),
        total_reward=float(total_reward),
        steps=int(steps),
        epsilon=float(epsilon),
        avg_loss=float(avg_loss),
    )


def plain_decimal(number: float) -> str:
    """Return `number` without an exponent, to four decimals or, if it is small, to four significant digits."""
    if not math.isfinite(number):
        return str(float(number))
    decimals = _DECIMALS
    if number:
        decimals = min(_MOST_DECIMALS, max(_DECIMALS, _DECIMALS - 1 - math.floor(math.log10(abs(number)))))
    whole, _, fraction = f"{number:.{decimals}f}".partition(".")
    text = f"{whole}.{fraction.rstrip('0') or '0'}"
    return "0.0" if text == "-0.0" else text


HEADER_WIDTH = 100


class TrainingLog:
    """The log of one run, written by one process and read by any.

    Each line goes to the operating system at once, so a killed process loses none. Only a power cut can tear the last
    line; it is ignored then, and the next write removes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: io.RawIOBase | None = None

    def write_header(self, text: str) -> None:
        """Start a new log with `text`. If there is a log already, save it as training.log.<n>."""
        self.close()
        if self._read():
            self._save_whole()
        write_atomic(self.path, _encode(_not_episodes(wrap_lines(printable(text), HEADER_WIDTH))))

    def write_episode(self, line: EpisodeLine) -> None:
        """Append the line of an episode.

        Raises:
            OSError: if the disk is full, for example; a part of the line that was written is never read.
        """
        self._write(format_episode(line) + "\n")

    def write_remark(self, text: str) -> None:
        """Append `text` as lines that begin with ``#``.

        Raises:
            OSError: as `write_episode`.
        """
        self._write("".join(f"# {part}\n" for part in printable(text).split("\n")))

    def rewind(self, episode: int) -> Path:
        """Drop the lines of episodes after `episode`, note that in the log, and return where the old log was saved."""
        self.close()
        lines = _whole_lines(self._read())
        saved = self._save_whole()
        kept = [line for line in lines if (found := parse_episode(line)) is None or found.episode <= episode]
        remark = f"# Resumed at episode {episode}; the complete earlier log is {saved.name}.\n"
        write_atomic(self.path, _encode("".join([*kept, remark])))
        return saved

    def read_episodes(self) -> list[EpisodeLine]:
        """Return the episodes in the order of the log, none if there is no log. A torn last line is ignored."""
        return [found for line in _whole_lines(self._read()) if (found := parse_episode(line)) is not None]

    def copy_to(self, path: Path) -> None:
        """Write the log to `path`, even if it was deleted or replaced meanwhile: the open file is still there.

        Raises:
            OSError: if it cannot be written.
        """
        data = _encode(self._read())
        if self._file is not None:
            data = os.pread(self._file.fileno(), os.fstat(self._file.fileno()).st_size, 0)
        write_atomic(path, data)

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, text: str) -> None:
        try:
            if self._file is None:
                self._file = open(self.path, "ab+", buffering=0, opener=open_own)  # noqa: SIM115  # stays open
                whole = sum(len(_encode(line)) for line in _whole_lines(self._read()))
                os.truncate(self._file.fileno(), whole)
            data = _encode(text)
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            self.close()  # the next write removes the part of a line that was written
            raise

    def _save_whole(self) -> Path:
        saved = first_free(self.path.parent, f"{self.path.name}.")
        write_atomic(saved, _encode(self._read()))
        return saved

    def _read(self) -> str:
        try:
            return read_file(self.path, LARGEST_BYTES).decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return ""


def wrap_lines(text: str, width: int) -> str:
    """Return `text` with lines of at most `width` characters; continuation lines are indented."""
    wrapped = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        if len(line) <= width or len(indent) + 20 > width:
            wrapped.append(line)
        else:
            wrapped += textwrap.wrap(
                line.strip(),
                width,
                initial_indent=indent,
                subsequent_indent=f"{indent}  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join(wrapped)


def _whole_lines(text: str) -> list[str]:
    return [f"{line}\n" for line in text.split("\n")[:-1]]


def _not_episodes(text: str) -> str:
    lines = text.rstrip("\n").split("\n")
    return "".join(f"{'# ' if line.startswith('[EP ') else ''}{line}\n" for line in lines)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
