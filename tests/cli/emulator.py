"""A terminal for tests: as much of one as the framework's view makes use of."""

from __future__ import annotations

import re

_SEQUENCE = re.compile(
    r"\x1b\[([?>=]?)([0-9;]*)([A-Za-z])|\x1b([78=>]|\([A-Z0-9])|\x1b[P\]][^\x1b\x07]*(?:\x07|\x1b\\)"
)
_LONGEST_SEQUENCE = 200


class Emulator:
    """Keeps what a terminal of that size would show of the text it is fed.

    `scrolled` counts the lines that were pushed off the top, which a full-screen show must never do, and
    `asked_for_cursor` the requests that a real terminal answers. `colours` are the parameters of all colours and
    other attributes that were set.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.scrolled = 0
        self.asked_for_cursor = 0
        self.colours: set[str] = set()
        self.is_alternate = False
        self.has_cursor = True
        self._waiting = ""
        self._saved = (0, 0)
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """Take another size, with a blank screen."""
        self.columns, self.rows = columns, rows
        self._cells = self._blank()
        self._x = self._y = 0
        self._main = (self._blank(), 0, 0)

    def feed(self, text: str) -> None:
        """Show `text`; a sequence cut off at its end waits for the rest."""
        text, self._waiting = self._waiting + text, ""
        at = 0
        while at < len(text):
            found = _SEQUENCE.match(text, at)
            if found:
                self._obey(found)
                at = found.end()
            elif text[at] == "\x1b" and len(text) - at < _LONGEST_SEQUENCE:
                self._waiting = text[at:]
                return
            else:
                self._put(text[at])
                at += 1

    @property
    def lines(self) -> list[str]:
        """The rows of the screen, without the blanks at their ends."""
        return ["".join(row).rstrip() for row in self._cells]

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines)

    def _blank(self) -> list[list[str]]:
        return [[" "] * self.columns for _ in range(self.rows)]

    def _put(self, character: str) -> None:
        if character == "\r":
            self._x = 0
        elif character == "\n":
            self._line_feed()
        elif character >= " ":
            if self._x >= self.columns:
                self._x = 0
                self._line_feed()
            self._cells[self._y][self._x] = character
            self._x += 1

    def _line_feed(self) -> None:
        if self._y < self.rows - 1:
            self._y += 1
        else:
            self.scrolled += 1
            self._cells = [*self._cells[1:], [" "] * self.columns]

    def _obey(self, found: re.Match[str]) -> None:
        private, numbers, letter, simple = found.groups()
        if simple == "7":
            self._saved = (self._x, self._y)
        elif simple == "8":
            self._x, self._y = self._saved
        elif letter == "H":
            row, _, column = numbers.partition(";")
            self._y = min(int(row or 1), self.rows) - 1
            self._x = min(int(column or 1), self.columns) - 1
        elif letter == "n":
            self.asked_for_cursor += 1
        elif letter == "m":
            self.colours.add(numbers)
        elif letter == "J":
            self._cells = self._blank()
        elif private == "?" and letter in "hl":
            self._set_mode(numbers, letter == "h")

    def _set_mode(self, mode: str, on: bool) -> None:
        if mode == "25":
            self.has_cursor = on
        elif mode == "1049":
            self.is_alternate = on
            if on:
                self._main, self._cells = (self._cells, self._x, self._y), self._blank()
            else:
                self._cells, self._x, self._y = self._main
