"""How a run directory names files outside it, so that it can be moved together with them."""

from __future__ import annotations

import os
from pathlib import Path


def name_place(path: str, run_dir: Path) -> str:
    """Return `path` relative to `run_dir`, or absolute if they share nothing but the root."""
    home = os.path.realpath(run_dir)
    path = os.path.abspath(path)
    if os.path.commonpath([home, path]) == os.path.abspath(os.sep):
        return path
    return os.path.relpath(path, home)


def find_place(name: str, run_dir: Path) -> str:
    """Return the absolute path that `name_place` called `name`, wherever `run_dir` is now."""
    return os.path.normpath(os.path.join(os.path.realpath(run_dir), name))
