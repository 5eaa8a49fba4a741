"""Encode a game's board as one byte a cell, without drawing the game's own view."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

LARGEST_CHARACTER_COUNT = 254
"""Codes are one byte: 0 is an empty cell, and 255 marks unknown characters during encoding."""

_JOINER = "\u200d"
_FIRST_SKIN_TONE, _LAST_SKIN_TONE = "\U0001f3fb", "\U0001f3ff"
_FIRST_FLAG_LETTER, _LAST_FLAG_LETTER = "\U0001f1e6", "\U0001f1ff"
_INVISIBLE_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\(.)")


def is_one_character(text: str) -> bool:
    """Return whether `text` reads as one character: a letter with its accents, an emoji, a flag."""
    if len(text) <= 1:
        return bool(text)
    if len(text) == 2 and all(_FIRST_FLAG_LETTER <= c <= _LAST_FLAG_LETTER for c in text):
        return True
    return all(
        before == _JOINER
        or c == _JOINER
        or unicodedata.category(c).startswith("M")
        or _FIRST_SKIN_TONE <= c <= _LAST_SKIN_TONE
        for before, c in itertools.pairwise(text)
    )


def is_blank(text: str) -> bool:
    """Return whether `text` shows nothing: empty, or white space only."""
    return not text or text.isspace()


def is_invisible(text: str) -> bool:
    """Return whether `text` begins with a control character or another that no terminal shows."""
    return unicodedata.category(text[0]) in _INVISIBLE_CATEGORIES


def cell_character(shown: object) -> str:
    """Return the character that an agent shows in one cell, '' for none.

    Of several letters only the first one counts, which is what a terminal shows. Colours that a game puts into the
    character itself are dropped.
    """
    if not isinstance(shown, str):
        return ""
    text = _ESCAPE_SEQUENCE.sub("", shown) if "\x1b" in shown else shown
    if is_blank(text) or is_blank(text[0]) or is_invisible(text):
        return ""
    return text if is_one_character(text) else text[0]


_UNKNOWN = 255
_LARGEST_UNKNOWN_COUNT = 1000
_LARGEST_CACHE = 2000


class BoardEncoder:
    """Encodes boards as the framework's own view draws them: 0 for an empty cell, i + 1 for character i.

    Hidden agents are not drawn. Each cell shows the agent with the highest z, the first of equals. An agent that shows
    nothing, or a character outside the set, still covers those below it. Agents off the board are ignored. With `view`,
    the game's visible window is encoded, and `board_size` is its size.

    `unknown` counts the cells encoded as empty because their character is not in the set. The framework's
    ``get_agents_by_position`` is not used, because its cache can be stale.
    """

    def __init__(self, character_set: Sequence[str], board_size: tuple[int, int], *, view: bool = False) -> None:
        self.width, self.height = board_size
        self._view = view
        self.unknown: dict[str, int] = {}
        self._characters: list[str] = []
        self._code_of: dict[Any, int] = {"": 0, " ": 0}
        self._blank = bytes(self.width * self.height)
        for character in character_set:
            self.extend(character)

    @property
    def character_set(self) -> tuple[str, ...]:
        """The characters in the order of their codes."""
        return tuple(self._characters)

    def extend(self, character: str) -> None:
        """Give `character` the next code; the codes of the others stay.

        Raises:
            ValueError: if it is not one visible character or has a code, or if there are 254 already.
        """
        if not character or cell_character(character) != character or character in self._characters:
            raise ValueError(f"{character!r} cannot be added to {self._characters}")
        if len(self._characters) == LARGEST_CHARACTER_COUNT:
            raise ValueError(f"a board has at most {LARGEST_CHARACTER_COUNT} characters")
        self._characters.append(character)
        self._code_of = {"": 0, " ": 0, **{c: code for code, c in enumerate(self._characters, start=1)}}

    def encode(self, game: Any, codes: np.ndarray) -> None:
        """Write the board of `game` into `codes`, [H, W] uint8, contiguous."""
        cells = bytearray(self._blank)
        unknown_at: dict[int, str] = {}
        width, height, code_of = self.width, self.height, self._code_of
        if self._view:
            self._paint_window(game, cells, unknown_at)
            codes.data.cast("B")[:] = cells
            return
        for agent in _bottom_up(game.agents):
            if not getattr(agent, "display", True):
                continue
            try:
                if getattr(agent, "size", None) is None:
                    x, y = agent.position
                    code = code_of[agent.character]
                    if 0 <= x < width and 0 <= y < height:
                        cells[y * width + x] = code
                        if code == _UNKNOWN:
                            unknown_at[y * width + x] = agent.character
                    continue
            except (KeyError, TypeError, ValueError, AttributeError):
                pass  # a new character, or one that a view could not draw: `_paint` handles both
            self._paint(agent, cells, unknown_at)
        if unknown_at:
            self._count_unknown(cells, unknown_at)
        codes.data.cast("B")[:] = cells

    def _paint_window(self, game: Any, cells: bytearray, unknown_at: dict[int, str]) -> None:
        origin = view_origin(game)
        width, height = self.width, self.height
        visible = []
        for agent in game.agents:
            if getattr(agent, "size", None) is None:
                corner = _whole_pair(getattr(agent, "position", None))
                if corner is None or not (0 <= corner[0] - origin[0] < width and 0 <= corner[1] - origin[1] < height):
                    continue
            if getattr(agent, "display", True):
                visible.append(agent)
        for agent in _bottom_up(visible):
            self._paint(agent, cells, unknown_at, origin)
        if unknown_at:
            self._count_unknown(cells, unknown_at)

    def _paint(
        self, agent: Any, cells: bytearray, unknown_at: dict[int, str], origin: tuple[int, int] = (0, 0)
    ) -> None:
        """Draw one agent of several cells, with a new character or in a window. Slower than the loop in `encode`."""
        corner = _whole_pair(getattr(agent, "position", None))
        if corner is None:
            return
        left, top = corner[0] - origin[0], corner[1] - origin[1]
        columns, rows = _whole_pair(getattr(agent, "size", None)) or (1, 1)
        for y in range(max(0, -top), min(rows, self.height - top)):
            for x in range(max(0, -left), min(columns, self.width - left)):
                index = (top + y) * self.width + left + x
                shown = _shown_at(agent, x, y)
                cells[index] = self._find_code(shown)
                if cells[index] == _UNKNOWN:
                    unknown_at[index] = shown

    def _find_code(self, shown: Any) -> int:
        if not isinstance(shown, str):
            return 0
        code = self._code_of.get(shown)
        if code is None:
            code = self._code_of.get(cell_character(shown), _UNKNOWN)
            if len(self._code_of) < _LARGEST_CACHE:
                self._code_of[shown] = code
        return code

    def _count_unknown(self, cells: bytearray, unknown_at: dict[int, str]) -> None:
        for index, shown in unknown_at.items():
            if cells[index] != _UNKNOWN:
                continue  # covered by an agent above
            cells[index] = 0
            character = cell_character(shown)
            if character in self.unknown or len(self.unknown) < _LARGEST_UNKNOWN_COUNT:
                self.unknown[character] = self.unknown.get(character, 0) + 1


def view_origin(game: Any) -> tuple[int, int]:
    """Return the cell of the board at the top left of the game's visible window."""
    return _whole_pair(getattr(game, "view_position", None)) or (0, 0)


def _bottom_up(agents: Sequence[Any]) -> list[Any]:
    """Return the agents in painting order: the last first, so that the first of equals ends up on top."""
    ordered = list(agents)
    ordered.reverse()
    for agent in ordered:
        if getattr(agent, "z", 0):
            ordered.sort(key=_level_of)
            break
    return ordered


def _level_of(agent: Any) -> float:
    z = getattr(agent, "z", 0)
    return z if isinstance(z, (int, float)) and z == z else 0


def _shown_at(agent: Any, x: int, y: int) -> Any:
    """Return what an agent shows at column x, row y of itself (as the framework's view does)."""
    shown = getattr(agent, "character", "")
    if isinstance(shown, str) or not hasattr(agent, "size"):
        return shown
    try:
        return list(shown)[y][x]
    except (IndexError, TypeError):
        return ""


def _whole_pair(value: Any) -> tuple[int, int] | None:
    try:
        first, second = value
        return math.floor(first), math.floor(second)
    except (TypeError, ValueError, OverflowError):
        return None
