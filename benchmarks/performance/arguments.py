"""What the measurements have in common on their command lines."""

from __future__ import annotations

import argparse
import json
from typing import Any


def parse_settings(*numbers: tuple[str, float]) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Return the options, each a number with its default, and the hyperparameters given by --set NAME=JSON."""
    parser = argparse.ArgumentParser()
    for option, default in numbers:
        parser.add_argument(option, type=type(default), default=default)
    add_settings(parser)
    given = parser.parse_args()
    return given, read_settings(given)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add --set."""
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", dest="settings")


def read_settings(given: argparse.Namespace) -> dict[str, Any]:
    """Return the hyperparameters given by --set."""
    pairs = (text.partition("=") for text in given.settings)
    return {name: json.loads(value) for name, _, value in pairs}
