"""Checkpoints as bytes: tensors and plain types only, and nothing else is ever loaded."""

from __future__ import annotations

import dataclasses
import io
import pickle
from collections.abc import Mapping
from typing import Any

import torch

from retro_gamer.errors import CheckpointError, ConfigurationError, first_line, printable, quoted
from retro_gamer.features.spec import SIZES, NetworkSpec, make_spec
from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import SETTINGS, Hyperparameters

FORMAT = "retro-gamer checkpoint"
FORMAT_VERSION = 1
REQUIRED: dict[str, type] = {
    "model_state_dict": dict,
    "target_state_dict": dict,
    "optimizer_state_dict": dict,
    "epsilon": float,
    "total_steps": int,
    "episode": int,
    "total_turns": int,
    "characters": list,
    "spec": dict,
    "must_match": dict,
    "hyperparameters": dict,
}
"""What every checkpoint holds, and of which type."""


def dump_checkpoint(state: Mapping[str, Any]) -> bytes:
    """Return `state` as the bytes of a checkpoint file."""
    missing = [name for name in REQUIRED if name not in state]
    if missing:
        raise ValueError(f"a checkpoint needs {', '.join(missing)}")
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "format_version": FORMAT_VERSION, **state}, buffer)
    return buffer.getvalue()


def load_checkpoint(data: bytes, name: str) -> dict[str, Any]:
    """Return the state that `dump_checkpoint` was given.

    Only tensors and plain types are unpickled (`weights_only=True`), so that a checkpoint from a stranger runs no
    code.

    Raises:
        CheckpointError: if the bytes are truncated, not ours, of a later format, or hold anything else.
    """
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{name} holds more than tensors and plain values, which only a foreign or malicious file does; "
            f"nothing of it was run. Use a checkpoint written by retro-gamer.\n({first_line(error)})"
        ) from error
    except Exception as error:  # torch names none: bytes without sense raise nearly anything, AssertionError too
        raise CheckpointError(
            f"{name} is damaged or is no checkpoint ({len(data)} bytes). Use another one: 'retro-gamer info' lists "
            f"them.\n({first_line(error)})"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{name} was not written by retro-gamer (its format mark is missing).")
    if state.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{name} has format version {quoted(state.get('format_version'))}; this retro-gamer reads "
            f"{FORMAT_VERSION}. Use the version of retro-gamer that wrote it."
        )
    missing = [field for field in REQUIRED if field not in state]
    if missing:
        raise CheckpointError(f"{name} lacks {', '.join(missing)}: it is damaged.")
    wrong = [field for field, kind in REQUIRED.items() if not isinstance(state[field], kind)]
    if wrong:
        raise CheckpointError(f"{name} is damaged: {', '.join(wrong)} cannot be what retro-gamer wrote.")
    return state


MISFITS = (RuntimeError, KeyError, TypeError, AttributeError, ValueError)
"""What torch and Python raise where the values of a checkpoint are not those of the network it describes."""


def read_trained_shape(metadata: GameMetadata, state: Mapping[str, Any], name: str) -> tuple[GameMetadata, NetworkSpec]:
    """Return the description with the checkpoint's characters and player, and the spec of its network.

    Nothing is built. `name` is how to call the checkpoint in an error.

    Raises:
        CheckpointError: if they are not what this program writes; a file from a stranger may ask for anything.
    """
    try:
        spec = NetworkSpec(**state["spec"])
        wrong = [p for size in SIZES if (p := SETTINGS[size].find_problem(getattr(spec, size)))]
        if wrong:
            raise ConfigurationError(wrong, name)
        metadata = dataclasses.replace(
            metadata, character_set=tuple(state["characters"]), player=state.get("player", metadata.player)
        )
        settings = Hyperparameters(**{size: getattr(spec, size) for size in SIZES})
        present = make_spec(metadata, settings, has_player=bool(spec.has_player))
        fits = spec == dataclasses.replace(present, dueling=bool(spec.dueling))
    except (TypeError, ValueError, ConfigurationError) as error:
        raise make_damaged(name, printable(str(error))) from error
    if not fits:
        raise make_damaged(name, "its network is of another shape than its description of the game")
    return metadata, spec


def make_damaged(name: str, reason: str) -> CheckpointError:
    """Return the error for a checkpoint whose parts do not fit each other."""
    return CheckpointError(f"{name} is damaged: {reason}. Use another one: 'retro-gamer info' lists them.")
