"""The keys an agent may press: their names, and the keystroke that a terminal would deliver for each."""

from __future__ import annotations

import difflib
import functools
import itertools
import string
from collections.abc import Iterable, Mapping

from blessed import keyboard

LARGEST_ACTION_COUNT = 256
"""More actions are refused: no game has so many keys, and each needs an output of the network."""

ARROWS = ("KEY_RIGHT", "KEY_UP", "KEY_LEFT", "KEY_DOWN")
_USUAL_KEYS = (*ARROWS, " ", "KEY_ENTER", "KEY_ESCAPE", "KEY_TAB", "KEY_BACKSPACE", "KEY_DELETE")
_MODIFIERS = ("CTRL", "ALT", "SHIFT")

_ALIASES: Mapping[str, str] = {
    "SPACE": " ",
    "SPACEBAR": " ",
    "RETURN": "KEY_ENTER",
    "ESC": "KEY_ESCAPE",
    "DEL": "KEY_DELETE",
    "PAGEUP": "KEY_PGUP",
    "PAGEDOWN": "KEY_PGDOWN",
    "\n": "KEY_ENTER",
    "\r": "KEY_ENTER",
    "\t": "KEY_TAB",
    "\x1b": "KEY_ESCAPE",
    "\x7f": "KEY_BACKSPACE",
    "\b": "KEY_BACKSPACE",
}


def format_keys(keys: Iterable[str]) -> str:
    """Return the keys as a readable list, in which the space bar is spelled out."""
    return ", ".join("space" if key == " " else key for key in keys)


@functools.cache
def key_codes() -> Mapping[str, int]:
    """Return the code of every special key that the framework's terminal library can name."""
    return {name: code for code, name in keyboard.get_keyboard_codes().items() if name.startswith("KEY_")}


@functools.cache
def all_keys() -> tuple[str, ...]:
    """Return every key that the framework can name, without modifiers but Ctrl, the usual ones first."""
    letters = string.ascii_lowercase
    characters = (*letters, *string.digits, *string.ascii_uppercase, *string.punctuation)
    controls = [f"KEY_CTRL_{letter}" for letter in string.ascii_uppercase]
    return tuple(dict.fromkeys((*_USUAL_KEYS, *characters, *sorted(key_codes()), *controls)))


@functools.cache
def _sequences() -> Mapping[int, str]:
    sequences: dict[int, str] = {}
    for sequence, code in keyboard.DEFAULT_SEQUENCE_MIXIN:
        sequences.setdefault(code, sequence)
    return sequences


@functools.cache
def _modifier_prefixes() -> tuple[str, ...]:
    return tuple("_".join(chosen) + "_" for count in (1, 2, 3) for chosen in itertools.combinations(_MODIFIERS, count))


def is_known_key(key: str) -> bool:
    """Return whether `key` is a printable character or a name such as ``KEY_RIGHT`` or ``KEY_CTRL_A``."""
    if len(key) == 1:
        return key.isprintable()
    if not key.startswith("KEY_"):
        return False
    if key in key_codes():
        return True
    for prefix in _modifier_prefixes():
        rest = key[4:].removeprefix(prefix)
        if rest != key[4:] and ("KEY_" + rest in key_codes() or (len(rest) == 1 and rest.isascii() and rest.isalnum())):
            return True
    return False


def nearest_key(key: str) -> str | None:
    """Return the known key that `key` most likely means, or None."""
    spoken = key.upper() if len(key) > 1 else key
    if spoken in _ALIASES:
        return _ALIASES[spoken]
    bare = spoken.removeprefix("KEY").strip(" _-").replace(" ", "_").replace("-", "_")
    bare = bare.removeprefix("ARROW").removesuffix("ARROW").strip("_")
    if bare.replace("_", "") in _ALIASES:
        return _ALIASES[bare.replace("_", "")]
    if f"KEY_{bare}" in key_codes():
        return f"KEY_{bare}"
    if len(bare) == 1 and bare.isprintable():
        return bare.lower()
    if not bare:
        return None
    near = difflib.get_close_matches(f"KEY_{bare[:40]}", sorted(key_codes()), n=1, cutoff=0.75)
    return near[0] if near else None


def make_keystroke(key: str) -> keyboard.Keystroke:
    """Return the keystroke a terminal delivers for `key`.

    The framework's own programmatic input leaves a special key's text empty, and then a game's
    ``keystroke in "wasd"`` is true for every arrow. A terminal's keystroke carries its sequence and code.
    """
    if len(key) == 1:
        return keyboard.Keystroke(key)
    code = key_codes().get(key)
    if code is None:
        return keyboard.Keystroke("\x1b", name=key)
    return keyboard.Keystroke(_sequences().get(code, "\x1b"), code=code, name=key)
