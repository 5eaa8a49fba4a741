"""Between a learner and its supervisor: what there is to write and to show, kept until the other side has it."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from typing import Any, Literal

from retro_gamer.run.log import EpisodeLine
from retro_gamer.run.writer import RunWriter
from retro_gamer.training.loop.progress import Progress, Reporter

LARGEST_BYTES = 256 * 1024 * 1024
"""Above so many bytes that nobody took, the learner waits: memory is bounded while a link is cut."""

Target = Literal["writer", "reporter", "end"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Message:
    """One call that waits to be made: on the writer, on the reporter, or the end with its outcome or error."""

    number: int
    target: Target
    method: str
    arguments: tuple[Any, ...]

    @property
    def size_bytes(self) -> int:
        """What its bytes weigh; all else is small."""
        return sum(len(argument) for argument in self.arguments if isinstance(argument, bytes))


class Mailbox:
    """Messages in order, each numbered from 1. Taking them again until they are confirmed changes nothing.

    So a supervisor that lost an answer on the way asks once more.
    """

    def __init__(self, largest_bytes: int = LARGEST_BYTES) -> None:
        self._messages: deque[Message] = deque()
        self._last = 0
        self._bytes = 0
        self._largest_bytes = largest_bytes
        self._changed = threading.Condition()

    def put(self, target: Target, method: str, *arguments: Any) -> None:
        """Add a message. Only the newest of several figures of progress in a row is kept."""
        with self._changed:
            self._changed.wait_for(lambda: self._bytes <= self._largest_bytes)
            self._last += 1
            message = Message(number=self._last, target=target, method=method, arguments=arguments)
            if method == "progress" and self._messages and self._messages[-1].method == "progress":
                self._messages.pop()
            self._messages.append(message)
            self._bytes += message.size_bytes
            self._changed.notify_all()

    def collect(self, after: int, timeout_seconds: float) -> list[Message]:
        """Forget the messages up to number `after` and return the others; wait at most so long for there to be any."""
        with self._changed:
            while self._messages and self._messages[0].number <= after:
                self._bytes -= self._messages.popleft().size_bytes
            self._changed.notify_all()
            self._changed.wait_for(lambda: bool(self._messages), timeout_seconds)
            return list(self._messages)


class MailedWriter:
    """Writes by message."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def begin(self, text: str) -> None:
        """Send the description."""
        self._mailbox.put("writer", "begin", text)

    def write_episode(self, line: EpisodeLine) -> None:
        """Send the line."""
        self._mailbox.put("writer", "write_episode", line)

    def write_note(self, text: str) -> None:
        """Send the remark."""
        self._mailbox.put("writer", "write_note", text)

    def write_checkpoint(self, name: str, data: bytes) -> None:
        """Send the checkpoint."""
        self._mailbox.put("writer", "write_checkpoint", name, data)

    def write_characters(self, characters: tuple[str, ...]) -> None:
        """Send the character set."""
        self._mailbox.put("writer", "write_characters", characters)

    def begin_snapshot(self, name: str) -> None:
        """Send the name."""
        self._mailbox.put("writer", "begin_snapshot", name)

    def add_snapshot_piece(self, piece: bytes) -> None:
        """Send the piece."""
        self._mailbox.put("writer", "add_snapshot_piece", piece)

    def commit_snapshot(self) -> None:
        """Send word that it is whole."""
        self._mailbox.put("writer", "commit_snapshot")

    def discard_snapshot(self) -> None:
        """Send word that it is to be forgotten."""
        self._mailbox.put("writer", "discard_snapshot")


class MailedReporter:
    """Reports by message."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def begin(self, text: str) -> None:
        """Send the description."""
        self._mailbox.put("reporter", "begin", text)

    def progress(self, progress: Progress) -> None:
        """Send the figures."""
        self._mailbox.put("reporter", "progress", progress)

    def note(self, text: str) -> None:
        """Send the remark."""
        self._mailbox.put("reporter", "note", text)

    def close(self) -> None:
        """Do nothing: the display is the supervisor's."""


def deliver(message: Message, writer: RunWriter, reporter: Reporter) -> None:
    """Make the call that a message stands for."""
    target = {"writer": writer, "reporter": reporter}[message.target]
    getattr(target, message.method)(*message.arguments)
