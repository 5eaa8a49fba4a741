"""The emulator is an oracle of other tests, so what it does is written down here by hand."""

from __future__ import annotations

from tests.cli.emulator import Emulator


def test_text_is_placed_wrapped_and_scrolled() -> None:
    screen = Emulator(4, 2)
    screen.feed("ab\x1b[2;3Hcd")
    assert screen.lines == ["ab", "  cd"]
    assert screen.scrolled == 0
    screen.feed("e")
    assert screen.lines == ["  cd", "e"]
    assert screen.scrolled == 1
    screen.feed("\r\nf")
    assert screen.lines == ["e", "f"]


def test_colours_take_no_room_and_sequences_may_be_cut() -> None:
    screen = Emulator(6, 1)
    screen.feed("\x1b[37m\x1b[4")
    screen.feed("0mx\x1b[m\x1b(By")
    assert screen.lines == ["xy"]


def test_the_alternate_screen_gives_the_main_one_back() -> None:
    screen = Emulator(6, 2)
    screen.feed("main\x1b[?1049h\x1b[?25l\x1b[H\x1b[2Jgame")
    assert (screen.lines[0], screen.is_alternate, screen.has_cursor) == ("game", True, False)
    screen.feed("\x1b[?1049l\x1b[?25h")
    screen.feed("!")
    assert (screen.lines[0], screen.is_alternate, screen.has_cursor) == ("main!", False, True)


def test_the_cursor_is_saved_and_restored() -> None:
    screen = Emulator(5, 2)
    screen.feed("a\x1b7\x1b[2;1Hb\x1b8c")
    assert screen.lines == ["ac", "b"]
