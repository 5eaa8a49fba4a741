"""Standard output for work that matters more than what it prints."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, TextIO


class LastingStream:
    """A stream that takes what is written whether or not anybody can read it any more.

    Where the reader has gone (`train | head`, a closed terminal) the rest goes nowhere; where there is no room for
    the moment, what is printed meanwhile may be lost. All else is as with the stream itself.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, if that can be done; return the number of characters."""
        with self._lasting():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that can be done."""
        with self._lasting():
            self._stream.flush()

    @contextlib.contextmanager
    def _lasting(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            # Python flushes once more when it ends, and that is to find something that takes the rest.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        except OSError:
            return
