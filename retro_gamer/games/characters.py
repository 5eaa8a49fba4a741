"""What counts as one character of a board."""

from __future__ import annotations

import itertools
import re
import unicodedata

LARGEST_CHARACTER_COUNT = 254
"""Codes are one byte: 0 is empty, and one value is kept for marking cells while they are drawn."""

_JOINER = "\u200d"
_FIRST_SKIN_TONE, _LAST_SKIN_TONE = "\U0001f3fb", "\U0001f3ff"
_FIRST_FLAG_LETTER, _LAST_FLAG_LETTER = "\U0001f1e6", "\U0001f1ff"
_INVISIBLE_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\(.)")


def is_one_character(text: str) -> bool:
    """Return whether a reader sees `text` as one character: a letter with its accents, an emoji, a flag."""
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
    """Return the character that stands for what an agent shows in one cell ('' for nothing).

    More than one letter in a cell stands for its first one, which is what a terminal shows there. Colours
    that a game puts into the character itself are dropped.
    """
    if not isinstance(shown, str):
        return ""
    text = _ESCAPE_SEQUENCE.sub("", shown) if "\x1b" in shown else shown
    if is_blank(text) or is_blank(text[0]) or is_invisible(text):
        return ""
    return text if is_one_character(text) else text[0]
