"""The checkpoint format: what a file holds, how it is read safely, and what must match between it and a run."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from retro_gamer.errors import CheckpointError, ConfigurationError, first_line, printable, quoted
from retro_gamer.features.spec import SIZES, NetworkSpec, make_spec
from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import SETTINGS, Hyperparameters

FORMAT = "retro-gamer checkpoint"
FORMAT_VERSION = 1
HEADER = {"format": FORMAT, "format_version": FORMAT_VERSION}
REQUIRED: dict[str, type] = {
    "model_state_dict": dict,  # the weights to play by
    "target_state_dict": dict,
    "optimizer_state_dict": dict,  # step, learning_rate, exp_avg and exp_avg_sq by parameter
    "epsilon": float,
    "total_steps": int,  # updates done
    "episode": int,  # episodes completed
    "total_turns": int,
    "characters": list,
    "spec": dict,  # of the network
    "must_match": dict,  # values of `MUST_MATCH`
    "hyperparameters": dict,
}
"""What every checkpoint holds, and of which type."""
OPTIONAL = (
    "online_state_dict",  # the weights that learn, where model_state_dict is their average
    "skipped_updates",
    "torch_generator",
    "slack_turns",  # see `TurnsPerUpdate`
    "recent_rewards",
    "largest_reward",
    "replay_snapshot",  # the name of the snapshot to restore
    "player",
)
"""What a checkpoint may also hold; older ones lack some."""

MUST_MATCH = {
    "actions": "the network has one output for each action",
    "reward": "the network predicts the sum of another reward",
    "spatial": "it selects the kind of network",
    "observe_state": "the network has one input for each value",
    "board_size": "the network was built for that board size",
    "observe": "the board and the view show different things in the same cells",
    "n_layers": "it sets the shape of the network",
    "layer_size": "it sets the shape of the network",
    "crop_radius": "it sets the shape of the network",
}
"""What must be the same in a run's config.toml and in a checkpoint that it resumes from, and why."""
MUST_MATCH_TO_PLAY = ("actions", "observe_state", "board_size", "spatial", "observe")
"""What must also be the same to play by a checkpoint: no reward is learned, and the sizes are the checkpoint's."""


def dump_checkpoint(state: Mapping[str, Any]) -> bytes:
    """Return `state` as the bytes of a checkpoint file."""
    missing = [name for name in REQUIRED if name not in state]
    if missing:
        raise ValueError(f"a checkpoint needs {', '.join(missing)}")
    undeclared = sorted(state.keys() - REQUIRED.keys() - HEADER.keys() - set(OPTIONAL))
    if undeclared:
        raise ValueError(f"the checkpoint format does not declare {', '.join(undeclared)}")
    buffer = io.BytesIO()
    torch.save({**HEADER, **state}, buffer)
    return buffer.getvalue()


def load_checkpoint(data: bytes, name: str) -> dict[str, Any]:
    """Return the state that `dump_checkpoint` was given.

    Only tensors and plain types are unpickled (`weights_only=True`): a checkpoint from a stranger cannot run code.

    Raises:
        CheckpointError: if the bytes are truncated, of another program or a later format, or hold anything else.
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A value that must be the same in a checkpoint and a run, and is not."""

    field: str
    trained: Any
    present: Any
    reason: str


def values_to_match(metadata: GameMetadata, settings: Hyperparameters) -> dict[str, Any]:
    """Return the values of `MUST_MATCH` as plain types, as a checkpoint holds them."""
    described = metadata.to_mapping()
    values: dict[str, Any] = {name: described.get(name) for name in MUST_MATCH}
    if metadata.end is not None:
        values["reward"] = f"{metadata.reward} {json.dumps(dict(metadata.end))}"
    values |= {"observe_state": list(metadata.observe_state), "spatial": metadata.spatial}
    return values | {name: getattr(settings, name) for name in SIZES}


def find_mismatches(
    state: Mapping[str, Any], metadata: GameMetadata, settings: Hyperparameters, names: Iterable[str] = MUST_MATCH
) -> list[Mismatch]:
    """Return which of `names` differ between a checkpoint and a run."""
    present = values_to_match(metadata, settings)
    trained = {**state["spec"], **state["must_match"]}  # older checkpoints have crop_radius only in `spec`
    return [
        Mismatch(field=name, trained=trained.get(name), present=present[name], reason=MUST_MATCH[name])
        for name in names
        if _as_list(trained.get(name)) != _as_list(present[name])
    ]


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


STATE_ERRORS = (RuntimeError, KeyError, TypeError, AttributeError, ValueError)
"""What torch and Python raise where the values of a checkpoint are not those of the network it describes."""


def read_network_spec(metadata: GameMetadata, state: Mapping[str, Any], name: str) -> tuple[GameMetadata, NetworkSpec]:
    """Return the description with the checkpoint's characters and player, and the spec of its network.

    Nothing is built. `name` names the checkpoint in an error.

    Raises:
        CheckpointError: for values that this program never writes; a file from a stranger may ask for anything.
    """
    try:
        spec = NetworkSpec(**state["spec"])
        problems = [p for size in SIZES if (p := SETTINGS[size].find_problem(getattr(spec, size)))]
        if problems:
            raise ConfigurationError(problems, name)
        metadata = dataclasses.replace(
            metadata, character_set=tuple(state["characters"]), player=state.get("player", metadata.player)
        )
        settings = Hyperparameters(**{size: getattr(spec, size) for size in SIZES})
        described = make_spec(metadata, settings, has_player=bool(spec.has_player))
        agrees = spec == dataclasses.replace(described, dueling=bool(spec.dueling))
    except (TypeError, ValueError, ConfigurationError) as error:
        raise make_damaged_error(name, printable(str(error))) from error
    if not agrees:
        raise make_damaged_error(name, "its network is of another shape than its description of the game")
    return metadata, spec


def make_damaged_error(name: str, reason: str) -> CheckpointError:
    """Return the error for a checkpoint whose parts contradict each other."""
    return CheckpointError(f"{name} is damaged: {reason}. Use another one: 'retro-gamer info' lists them.")
