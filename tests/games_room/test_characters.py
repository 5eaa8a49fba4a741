from __future__ import annotations

import pytest

from retro_gamer.games.board import cell_character, is_blank, is_one_character


@pytest.mark.parametrize("text", ["a", "█", "é", "e\u0301", "❤️", "🐍", "🧑‍🚀", "👍🏽", "🇫🇷", "\ue0b0"])
def test_what_a_reader_sees_as_one_character_is_one(text: str) -> None:
    assert is_one_character(text)
    assert cell_character(text) == text


@pytest.mark.parametrize(("text", "first"), [("ab", "a"), ("[]", "["), ("🐍🐍", "🐍"), ("\x1b[1m#\x1b[0m", "#")])
def test_more_letters_stand_for_the_first(text: str, first: str) -> None:
    assert not is_one_character(text)
    assert cell_character(text) == first


@pytest.mark.parametrize("shown", ["", " ", "\t", "\u00a0", " x", "\x07", "\u200b", "\ud800", None, 5, ["@"]])
def test_what_shows_nothing_is_no_character(shown: object) -> None:
    assert cell_character(shown) == ""


def test_blank_is_empty_or_white_space() -> None:
    assert [is_blank(text) for text in ("", " \t", "x")] == [True, True, False]
