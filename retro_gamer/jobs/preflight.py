"""What a job finds out before anything else, with nothing but the standard library: is what a run needs there?"""

from __future__ import annotations

import importlib.metadata
import sys

LOWEST_PYTHON = (3, 11)
NEEDED = ("ray", "torch", "numpy", "retro-games", "tomlkit", "rich", "typer", "blessed", "fsspec")


def explain_lacks() -> str | None:
    """Return what is missing on this machine and what to do about it, None if nothing is."""
    lacks = []
    if sys.version_info < LOWEST_PYTHON:
        lacks.append("Python 3.11 or newer (it has {}.{})".format(*sys.version_info[:2]))
    lacks += [name for name in NEEDED if not _is_installed(name)]
    if not lacks:
        return None
    return (
        f"the Python of the cluster's nodes ({sys.executable}) lacks {', '.join(lacks)}. Start Ray there from an "
        "environment with retro-gamer's dependencies, or use the image of docker/."
    )


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
