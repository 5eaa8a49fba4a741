"""Whether what is said to be the state of a replay memory can be taken over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

STATE_VERSION = 1

FIELDS = {
    "codes": np.uint8,
    "player": np.int16,
    "state": np.float32,
    "first": np.int64,
    "next": np.int64,
    "action": np.uint16,
    "returns": np.float32,
    "discounts": np.float32,
}
"""The arrays of a state with their types: rows first, then what each transition holds."""


def check_state(state: Mapping[str, Any]) -> None:
    """Return if `state` has every field of a state of this version, of matching lengths and with sane values.

    Raises:
        ValueError: naming what is wrong.
    """
    if state.get("version") != STATE_VERSION:
        raise ValueError(f"a replay state of version {state.get('version')} cannot be read, only {STATE_VERSION}")
    for name in ("turns", "oldest", "first_row"):
        if not isinstance(state.get(name), int) or state[name] < 0:
            raise ValueError(f"{name} of a replay state must be a count, not {state.get(name)!r}")
    for name, kind in FIELDS.items():
        if not isinstance(state.get(name), np.ndarray) or state[name].dtype != kind:
            raise ValueError(f"{name} of a replay state must be an array of {kind.__name__}")
    count = len(state["first"])
    for name in ("first", "next", "action", "returns", "discounts", "priorities"):
        if state.get(name) is not None and state[name].shape != (count,):
            raise ValueError(f"{name} of a replay state must hold one value for each of its {count} transitions")
    last_row = state["first_row"] + len(state["codes"])
    for name in ("first", "next"):
        if count and not (state["first_row"] <= state[name].min() and state[name].max() < last_row):
            raise ValueError(f"{name} of a replay state names rows that it does not hold")
    for name in ("state", "returns", "discounts", "priorities"):
        if state.get(name) is not None and not np.isfinite(state[name]).all():
            raise ValueError(f"{name} of a replay state must be finite")
    if state.get("priorities") is not None and count and state["priorities"].min() <= 0:
        raise ValueError("priorities of a replay state must be positive")
