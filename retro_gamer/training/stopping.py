"""How a run is asked to stop: the first signal ends it cleanly, the second at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """Notes SIGINT and SIGTERM while it is entered; a second one raises KeyboardInterrupt.

    Handlers are installed explicitly, because a shell's background job starts with SIGINT ignored. Outside the main
    thread no handler can be installed and none is.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._previous: dict[int, Any] = {}

    @property
    def is_made(self) -> bool:
        """Whether a signal has come."""
        return self.signal_number is not None

    def make(self, signal_number: int) -> None:
        """Ask for a stop as that signal does. It is for those who pass one on from another process."""
        self.signal_number = signal_number

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.is_made:
            raise KeyboardInterrupt
        self.signal_number = number
