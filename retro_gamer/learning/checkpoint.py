"""The checkpoint format: what a file holds, how it is read safely, and what must match between it and a run."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from retro_gamer.errors import CheckpointError, ConfigurationError, first_line, printable, quoted
from retro_gamer.features.spec import SIZES, NetworkSpec, make_spec
from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import SETTINGS, Hyperparameters
from retro_gamer.learning.optimizer import MOMENTS

FORMAT = "retro-gamer checkpoint"
FORMAT_VERSION = 1
HEADER = {"format": FORMAT, "format_version": FORMAT_VERSION}
LARGEST_SLACK = 10_000_000
"""Turns by which updates may lag behind; ten thousand actors stay below it."""
DIGEST = "sha256"
"""The field with the digest of all others. Checkpoints of older versions lack it."""
LARGEST_COUNT = 2**53
MOST_VALUES = 1_000_000
DEEPEST_NESTING = 8


def _is_weights(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(v, torch.Tensor) and v.dtype == torch.float32 for v in value.values())
        and all(bool(torch.isfinite(v).all()) for v in value.values())
    )


def _is_optimizer(value: Any) -> bool:
    if not isinstance(value, dict) or not {"step", "learning_rate", *MOMENTS} <= value.keys():
        return False
    steps = value["step"]
    is_valid = isinstance(steps, torch.Tensor) and steps.numel() == 1 and 0 <= float(steps) <= LARGEST_COUNT
    return is_valid and _is_rate(value["learning_rate"]) and all(_is_weights(value[name]) for name in MOMENTS)


def _is_characters(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_plain_table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) and _is_plain(each) for name, each in value.items())


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return _is_plain_table(value) if isinstance(value, dict) else type(value) in (bool, int, float, str, type(None))


def _within(kind: type[int] | type[float], low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, kind) and low <= value <= high


_is_rate = _within(float, 0.0, 1e30)
_is_count = _within(int, 0, LARGEST_COUNT)
REQUIRED: dict[str, Callable[[Any], bool]] = {
    "model_state_dict": _is_weights,  # the weights to play by
    "target_state_dict": _is_weights,
    "optimizer_state_dict": _is_optimizer,  # step, learning_rate, exp_avg and exp_avg_sq by parameter
    "epsilon": _within(float, 0.0, 1.0),
    "total_steps": _is_count,  # updates done
    "episode": _is_count,  # episodes completed
    "total_turns": _is_count,
    "characters": _is_characters,
    "spec": _is_plain_table,  # of the network
    "must_match": _is_plain_table,  # values of `MUST_MATCH`
    "hyperparameters": _is_plain_table,
}
"""What every checkpoint holds, and which values it may have."""
OPTIONAL: dict[str, Callable[[Any], bool]] = {
    "online_state_dict": _is_weights,  # the weights that learn, where model_state_dict is their average
    "skipped_updates": _is_count,
    "torch_generator": lambda value: isinstance(value, torch.Tensor) and value.dtype == torch.uint8,
    "slack_turns": _within(int, -LARGEST_COUNT, LARGEST_SLACK),  # see `TurnsPerUpdate`
    "recent_rewards": lambda value: isinstance(value, list) and all(type(each) in (int, float) for each in value),
    "largest_reward": lambda value: value is None or type(value) is float,
    "replay_snapshot": lambda value: value is None or isinstance(value, str),  # the name of the snapshot to restore
    "player": lambda value: value is None or isinstance(value, str),
    DIGEST: lambda value: isinstance(value, str),
}
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
    undeclared = _find_undeclared(state)
    if undeclared:
        raise ValueError(f"the checkpoint format does not declare {', '.join(undeclared)}")
    whole = {**HEADER, **state}
    buffer = io.BytesIO()
    torch.save({**whole, DIGEST: hash_content(whole)}, buffer)
    return buffer.getvalue()


def _find_undeclared(state: Mapping[str, Any]) -> list[str]:
    return sorted(map(str, state.keys() - REQUIRED.keys() - HEADER.keys() - OPTIONAL.keys()))


def hash_content(state: Mapping[str, Any], limit_bytes: int | None = None) -> str:
    """Return the SHA-256 of every value but the digest itself: tensors with type and shape, plain values with type.

    Entries are taken in their order, because the learner joins its parameters in that order. `limit_bytes` bounds the
    tensors: a small file can describe one of any size.

    Raises:
        ValueError: for any other kind of value, or more of them than a checkpoint holds.
    """
    content = _ContentHash(math.inf if limit_bytes is None else limit_bytes)
    content.add({name: value for name, value in state.items() if name != DIGEST})
    return content.sha256.hexdigest()


class _ContentHash:
    """Hashes values one after the other. Each begins with its type and length, so no two contents read the same."""

    def __init__(self, limit_bytes: float) -> None:
        self.sha256 = hashlib.sha256()
        self._bytes_left = limit_bytes
        self._values_left = MOST_VALUES

    def add(self, value: Any, depth: int = 0) -> None:
        self._values_left -= 1
        if depth > DEEPEST_NESTING or self._values_left < 0:
            raise ValueError("it is nested more deeply, or holds more values, than a checkpoint does")
        if isinstance(value, torch.Tensor):
            self._add_tensor(value)
        elif isinstance(value, dict):
            self._add_items("dict", [each for item in value.items() for each in item], depth)
        elif isinstance(value, (list, tuple)):
            self._add_items("list" if isinstance(value, list) else "tuple", value, depth)
        elif isinstance(value, int) and value.bit_length() > 64:
            raise ValueError("it holds a number that is too large")
        elif value is None or type(value) in (bool, int, float, str):
            text = repr(value).encode("utf-8", "surrogatepass")
            self.sha256.update(f"{type(value).__name__} {len(text)} ".encode() + text)
        else:
            raise ValueError(f"it holds a {type(value).__name__}")

    def _add_items(self, kind: str, items: Sequence[Any], depth: int) -> None:
        self.sha256.update(f"{kind} {len(items)} ".encode())
        for item in items:
            self.add(item, depth + 1)

    def _add_tensor(self, tensor: torch.Tensor) -> None:
        self._bytes_left -= tensor.numel() * tensor.element_size()
        if self._bytes_left < 0 or tensor.layout != torch.strided:
            raise ValueError("it holds a tensor that no file of its size can hold")
        self.sha256.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
        self.sha256.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)


NO_DIGEST = "was written by an older version, without a digest: damage to its numbers cannot be detected"


def has_digest(state: Mapping[str, Any]) -> bool:
    """Return whether the checkpoint's content was compared with its digest when it was loaded."""
    return DIGEST in state


def load_checkpoint(data: bytes, name: str) -> dict[str, Any]:
    """Return the state that `dump_checkpoint` was given, with its digest.

    Only tensors and plain types are unpickled (`weights_only=True`): a checkpoint from a stranger cannot run code. Then
    the digest is compared, and every field is checked against its declaration.

    Raises:
        CheckpointError: if the bytes are damaged, of another program or a later format, or hold anything else.
    """
    state = _unpickle(data, name)
    if not isinstance(state, dict) or not isinstance(state.get("format"), str) or state["format"] != FORMAT:
        raise CheckpointError(f"{name} was not written by retro-gamer (its format mark is missing).")
    version = state.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise CheckpointError(
            f"{name} has format version {quoted(version)}; this retro-gamer reads {FORMAT_VERSION}. "
            "Use the version of retro-gamer that wrote it."
        )
    try:
        problem = _find_damage(state, len(data))
    except Exception as error:  # torch names none: a tensor made of damaged bytes may raise anything when it is read
        problem = first_line(error)
    if problem is not None:
        raise make_damaged_error(name, problem)
    return state


def _unpickle(data: bytes, name: str) -> Any:
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
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


def _find_damage(state: dict[str, Any], size_bytes: int) -> str | None:
    missing = [field for field in REQUIRED if field not in state]
    if missing:
        return f"it lacks {', '.join(missing)}"
    undeclared = _find_undeclared(state)
    if undeclared:
        return f"it holds {quoted(undeclared[0])}, which retro-gamer does not write"
    digest = hash_content(state, size_bytes)
    if has_digest(state) and state[DIGEST] != digest:
        return "its content does not have the digest (SHA-256) that was written with it"
    checks = {**REQUIRED, **OPTIONAL}
    wrong = [field for field, value in state.items() if field in checks and not checks[field](value)]
    return f"{', '.join(wrong)} cannot be what retro-gamer wrote" if wrong else None


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
