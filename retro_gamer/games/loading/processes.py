"""Start the helper processes of all commands without the working directory on their import path.

Python puts the working directory first on the path of a new process. A game's `pickle.py` there would replace the
standard module before any code of ours runs.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.context import SpawnContext

_SAFE_PATH = "PYTHONSAFEPATH"


@contextlib.contextmanager
def isolated_start() -> Iterator[SpawnContext]:
    """Yield a context for new processes. Those that start within the block have no working directory on their path."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield multiprocessing.get_context("spawn")
    finally:
        if before is None:
            os.environ.pop(_SAFE_PATH, None)
        else:
            os.environ[_SAFE_PATH] = before
