"""The first step of a job: does this node have what a run needs? Uses only the standard library."""

from __future__ import annotations

import importlib.metadata
import sys

LOWEST_PYTHON = (3, 11)
NEEDED = ("ray", "torch", "numpy", "retro-games", "tomlkit", "rich", "typer", "blessed", "fsspec")


def describe_missing() -> str | None:
    """Return what is missing on this node and how to fix it, or None if nothing is."""
    missing = []
    if sys.version_info < LOWEST_PYTHON:
        missing.append("Python 3.11 or newer (it has {}.{})".format(*sys.version_info[:2]))
    missing += [name for name in NEEDED if not _is_installed(name)]
    if not missing:
        return None
    return (
        f"the Python of the cluster's nodes ({sys.executable}) lacks {', '.join(missing)}. Start Ray from an "
        "environment with retro-gamer's dependencies, or use the image in docker/."
    )


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
