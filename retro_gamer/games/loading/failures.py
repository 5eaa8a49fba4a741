"""Describe a failure of a game in one line, with the file and line of the game's own code."""

from __future__ import annotations

import os
import traceback

from retro_gamer.errors import printable
from retro_gamer.games.loading.importing import (
    FRAMEWORK_FOLDER,
    PRIVATE_PACKAGE,
    is_below,
    is_framework,
    is_library,
    is_machinery,
)

_LONGEST_MESSAGE = 300


def describe_failure(exception: BaseException, search_path: str | None = None) -> str:
    """Return ``file.py:12: ZeroDivisionError: division by zero``, printable on a terminal.

    The place is the innermost line of the game's own code below `search_path`, even if the framework or a library
    raised.
    """
    place = failure_place(exception, search_path)
    inside = ""
    if not isinstance(exception, SyntaxError):
        frames = _frames(exception)
        if frames and is_framework(frames[-1][0]):
            inside = f" (raised in {_short(frames[-1][0], None)}, part of retro-games)"
    return printable(f"{place}{_text(exception)}{inside}")


def _text(exception: BaseException) -> str:
    name = type(exception).__name__
    if isinstance(exception, SyntaxError):
        message = str(exception.msg)
    elif isinstance(exception, SystemExit):
        return f"the game left Python (SystemExit: {exception.code!r})"
    else:
        try:
            message = str(exception)
        except Exception as error:
            message = f"(its message cannot be shown: {type(error).__name__})"
    message = PRIVATE_PACKAGE.sub("", " ".join(message.split()))
    if len(message) > _LONGEST_MESSAGE:
        message = message[: _LONGEST_MESSAGE - 1] + "…"
    return f"{name}: {message}" if message else name


def failure_place(exception: BaseException, search_path: str | None = None) -> str:
    """Return ``file.py:12: ``, the innermost line of the game's own code, or '' if there is none."""
    if isinstance(exception, SyntaxError) and exception.filename:
        return f"{_short(exception.filename, search_path)}:{exception.lineno}: "
    frames = _frames(exception)
    own = [frame for frame in frames if _is_in_source(frame[0], search_path)]
    own = own or [frame for frame in frames if not is_library(frame[0])]
    own = own or [frame for frame in frames if not is_machinery(frame[0])]
    if not own:
        return ""
    file, line = own[-1]
    return f"{_short(file, search_path)}:{line}: "


def _frames(exception: BaseException) -> list[tuple[str, int]]:
    return [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(exception.__traceback__)]


def _is_in_source(file: str, search_path: str | None) -> bool:
    return search_path is not None and is_below(file, search_path) and not is_library(file)


def _short(file: str, search_path: str | None) -> str:
    for base in (search_path, os.path.dirname(FRAMEWORK_FOLDER)):
        if base and is_below(file, base):
            return os.path.relpath(file, base)
    return os.path.basename(file)
