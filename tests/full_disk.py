"""A disk without room, made by what the system lets this process write."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def no_room_beyond(size_bytes: int) -> Iterator[None]:
    """Let this process write no file beyond so many bytes.

    To be left within the test itself: what pytest prints afterwards may go to a longer file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
