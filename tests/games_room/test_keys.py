from __future__ import annotations

import pytest

from retro_gamer.games.loading.keys import is_known_key, make_keystroke, nearest_key


@pytest.mark.parametrize(
    "key",
    [
        "KEY_RIGHT",
        "KEY_ENTER",
        "KEY_BACKSPACE",
        "KEY_ESCAPE",
        "KEY_TAB",
        "KEY_F5",
        "KEY_DELETE",
        "KEY_PGUP",
        "KEY_CTRL_A",
        "KEY_SHIFT_UP",
        "KEY_CTRL_ALT_LEFT",
        " ",
        "a",
        "Z",
        "7",
        "?",
        "ñ",
    ],
)
def test_keys_a_terminal_can_deliver_are_known(key: str) -> None:
    assert is_known_key(key)


@pytest.mark.parametrize("key", ["", "right", "RIGHT", "KEY_", "KEY_RIHGT", "ab", "\n", "\x1b", "KEY_CTRL_", "KEY_A"])
def test_others_are_not(key: str) -> None:
    assert not is_known_key(key)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("right", "KEY_RIGHT"),
        ("RIGHT", "KEY_RIGHT"),
        ("key_right", "KEY_RIGHT"),
        ("KEYRIGHT", "KEY_RIGHT"),
        ("ArrowLeft", "KEY_LEFT"),
        ("up arrow", "KEY_UP"),
        ("arrow-up", "KEY_UP"),
        ("KEY_RIHGT", "KEY_RIGHT"),
        ("enter", "KEY_ENTER"),
        ("return", "KEY_ENTER"),
        ("\n", "KEY_ENTER"),
        ("Esc", "KEY_ESCAPE"),
        ("space", " "),
        ("KEY_SPACE", " "),
        ("KEY_A", "a"),
        ("page up", "KEY_PGUP"),
        ("zzzzzzzz", None),
        ("", None),
    ],
)
def test_a_misspelt_key_is_recognised(key: str, meant: str | None) -> None:
    assert nearest_key(key) == meant
    assert meant is None or is_known_key(meant)


def test_keystrokes_are_those_of_a_terminal() -> None:
    right = make_keystroke("KEY_RIGHT")
    assert (right.name, str(right), right.is_sequence) == ("KEY_RIGHT", "\x1b[C", True)
    assert right not in "wasd"
    letter = make_keystroke("w")
    assert letter == "w"
    assert letter.name is None
    assert make_keystroke(" ") == " "
    enter = make_keystroke("KEY_ENTER")
    assert enter.name == "KEY_ENTER"
    assert enter == "\n"
    assert make_keystroke("KEY_CTRL_A").name == "KEY_CTRL_A"
