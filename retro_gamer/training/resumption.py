"""Going on from a checkpoint: what must fit, what may change, and what becomes of what came later."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from retro_gamer.errors import CheckpointError, shown
from retro_gamer.learning.checkpoint import load_checkpoint, read_trained_shape
from retro_gamer.run.directory import LATEST, CheckpointFile, RunDirectory, checkpoint_name
from retro_gamer.training.loop.checkpointing import describe_fit
from retro_gamer.training.preparation import PreparedRun

REASONS = {
    "actions": "the network has one output for each action",
    "reward": "what was learned is the value of another reward",
    "spatial": "it chooses the kind of network",
    "observe_state": "the network has one input for each value",
    "board_size": "the network was built for that board",
    "observe": "board and window show other things in the same places",
    "n_layers": "it is the shape of the network",
    "layer_size": "it is the shape of the network",
    "crop_radius": "it is the shape of the network",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """A checkpoint that fits the run, loaded."""

    file: CheckpointFile
    state: Mapping[str, Any]
    passed_over: tuple[str, ...] = ()
    """What is wrong with newer checkpoints, which were passed over."""

    @property
    def episodes(self) -> int:
        """Episodes completed at the checkpoint."""
        return int(self.state["episode"])

    @property
    def name(self) -> str:
        """What it is called in a run that goes on from it, whatever it was called where it lay."""
        return checkpoint_name(self.episodes)

    @property
    def turns(self) -> int:
        """Turns played at the checkpoint."""
        return int(self.state["total_turns"])


def find_resume_point(directory: RunDirectory, text: str) -> ResumePoint:
    """Return the checkpoint that `text` names, loaded. If that is ``latest``, damaged ones are passed over.

    Raises:
        CheckpointNotFoundError: if there is none.
        CheckpointError: if it is damaged or not ours, or all of them are; nothing is ever begun anew instead.
    """
    named = directory.resolve_resume(text)
    files = reversed(directory.checkpoints()) if text == LATEST else [named]
    wrong: list[str] = []
    for file in files:
        try:
            state = load_checkpoint(file.path.read_bytes(), str(file.path))
        except CheckpointError as error:
            wrong.append(str(error))
        else:
            return ResumePoint(file=file, state=state, passed_over=tuple(wrong))
    raise CheckpointError("\n".join(wrong))


def fit_to_checkpoint(prepared: PreparedRun, point: ResumePoint) -> PreparedRun:
    """Return the run with the checkpoint's characters and player, after checking that the two fit.

    Characters that were only discovered are taken from the checkpoint; characters that the configuration names
    beyond those of the checkpoint are learned from there on.

    Raises:
        CheckpointError: naming every field that differs, and why it matters; or if the checkpoint contradicts itself.
    """
    here = describe_fit(prepared.metadata, prepared.settings)
    there = {**point.state["spec"], **point.state["must_match"]}  # checkpoints of before lack the crop_radius there
    differences = [
        f"  {name}: {shown(there.get(name), 120)} in the checkpoint, {shown(here[name], 120)} here ({REASONS[name]})"
        for name in here
        if _plain(here[name]) != _plain(there.get(name))
    ]
    characters = tuple(point.state["characters"])
    configured = prepared.metadata.character_set or ()
    if configured[: len(characters)] != characters:
        differences.append(
            f"  character_set: the checkpoint's {shown(list(characters), 200)} must be the beginning of the "
            f"configuration's {shown(list(configured), 200)} (the network is laid out in that order)"
        )
    if differences:
        raise CheckpointError(
            f"{point.file.path} does not fit {prepared.directory.config_path}:\n"
            + "\n".join(differences)
            + "\nSet these back in config.toml, or start a new run with 'retro-gamer create'."
        )
    read_trained_shape(prepared.metadata, point.state, str(point.file.path))
    metadata = dataclasses.replace(prepared.metadata, player=prepared.metadata.player or point.state["player"])
    return dataclasses.replace(prepared, metadata=metadata)


def describe_changes(prepared: PreparedRun, point: ResumePoint) -> list[str]:
    """Return what differs from the settings the checkpoint was trained with, a line each."""
    before = point.state["hyperparameters"]
    return [
        f"{declared.name}: {shown(before.get(declared.name))} until here, {shown(value)} from here on"
        for declared, value in prepared.settings.items()
        if before.get(declared.name) != value
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value
