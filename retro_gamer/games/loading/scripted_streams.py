"""What a game has instead of a screen and a keyboard: output that is discarded, and answers from a list."""

from __future__ import annotations

import ctypes
import io
import threading
from collections.abc import Sequence

from retro_gamer.errors import quoted
from retro_gamer.games.loading.capture import capture

_LARGEST_EMPTY_ANSWER_COUNT = 100
_LONGEST_QUESTION = 80


class DiscardedOutput(io.TextIOBase):
    """The game's screen: discards all output. `last` is the last text, which may be a question to the player."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Discard the text."""
        if text.strip():
            self.last = text
        return len(text)


class ScriptedInput(io.TextIOBase):
    """The game's keyboard: gives the listed answers, then empty lines. `threads` are those that the game started."""

    def __init__(self, answers: Sequence[str], output: DiscardedOutput) -> None:
        super().__init__()
        self._answers = tuple(answers)
        self._output = output
        self.n_asked = 0
        self.threads: list[threading.Thread] = []

    def restart(self) -> None:
        """Give the answers from the first one on, for a new game, and make the old one's threads end soon."""
        self.n_asked = 0
        for thread in self.threads:
            if thread.is_alive() and thread.ident is not None:
                end = ctypes.py_object(SystemExit)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), end)
        self.threads.clear()

    def next_answer(self) -> str:
        """Return the next answer without a line end. The code of a game that asks without end is left."""
        self.n_asked += 1
        if self.n_asked <= len(self._answers):
            return self._answers[self.n_asked - 1]
        if self.n_asked > len(self._answers) + _LARGEST_EMPTY_ANSWER_COUNT:
            question = quoted(self._output.last.strip()[-_LONGEST_QUESTION:], 100)
            capture.leave(
                f"it asks again and again, last with {question}, and was given {quoted(list(self._answers), 100)} and "
                'empty lines. List what a player would type in the description, as in answers = ["1", ""]'
            )
        return ""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        """Return an answer as a line."""
        return self.next_answer() + "\n"

    def read(self, size: int | None = -1, /) -> str:
        """Return an answer as a line, or its first characters."""
        line = self.readline()
        return line if size is None or size < 0 else line[:size]
