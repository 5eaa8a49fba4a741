"""Runs commands in a pseudo-terminal, with an emulator of what a person would see."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.cli.emulator import Emulator

TIMEOUT_SECONDS = 30.0


class TerminalProcess:
    """``retro-gamer`` in its own terminal. Every wait has a deadline."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        size: tuple[int, int],
        folder: Path,
        environment: dict[str, str],
        answers: bool,
    ) -> None:
        self._answers = answers
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.modes_before = termios.tcgetattr(self._slave)
        self.emulator = Emulator(*size)
        self.saw_alternate = False
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "retro_gamer", *arguments],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """The whole screen."""
        with self._changed:
            return self.emulator.text

    @property
    def modes(self) -> list[object]:
        """How the terminal treats input and output now."""
        return termios.tcgetattr(self._slave)

    def press(self, keys: str) -> None:
        """Type `keys`."""
        os.write(self._master, keys.encode())

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command."""
        self.process.send_signal(number)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window."""
        with self._changed:
            self.emulator.resize(columns, rows)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of the screen."""
        with self._changed:
            assert self._changed.wait_for(holds, TIMEOUT_SECONDS), f"timed out; the screen:\n{self.emulator.text}"

    def wait_for(self, text: str) -> None:
        """Wait until `text` is on the screen."""
        self.wait_until(lambda: text in self.emulator.text)

    def wait(self) -> int:
        """Wait for the end of the command and return its exit status."""
        return self.process.wait(TIMEOUT_SECONDS)

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(TIMEOUT_SECONDS)
        os.close(self._slave)  # the reader then meets the end of the output
        self._reader.join(TIMEOUT_SECONDS)
        os.close(self._master)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            with self._changed:
                asked_before = self.emulator.asked_for_cursor
                self.emulator.feed(decoder.decode(data))
                if self._answers:
                    self.press("\x1b[1;1R" * (self.emulator.asked_for_cursor - asked_before))
                self.saw_alternate = self.saw_alternate or self.emulator.is_alternate
                self._changed.notify_all()


@contextlib.contextmanager
def show(
    *arguments: str,
    folder: Path,
    size: tuple[int, int] = (80, 24),
    answers: bool = True,
    **environment: str,
) -> Iterator[TerminalProcess]:
    """Run ``retro-gamer`` with `arguments` in a terminal of `size` columns and rows.

    With `answers` the terminal reports its cursor position when asked, as real ones do. `environment` is added to that
    of this process.
    """
    process = TerminalProcess(arguments, size=size, folder=folder, environment=environment, answers=answers)
    try:
        yield process
    finally:
        process.close()
