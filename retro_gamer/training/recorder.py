"""What a run writes while it goes on: log lines, checkpoints and the growing character set."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Protocol

from retro_gamer.dqn.checkpoint import dump_checkpoint
from retro_gamer.dqn.learner import Learner
from retro_gamer.games.metadata import GameMetadata
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.runs.checkpoints import FINAL, checkpoint_name
from retro_gamer.runs.episodes import EpisodeLine
from retro_gamer.runs.writer import RunWriter
from retro_gamer.training.schedule import epsilon_after

MUST_MATCH = ("actions", "reward", "spatial", "observe_state", "board_size", "observe")
MUST_MATCH_SETTINGS = ("n_layers", "layer_size")


class Recorder(Protocol):
    """Takes what the training loop has to record."""

    def write_episode(self, line: EpisodeLine) -> None:
        """Record one completed episode."""

    def write_note(self, text: str) -> None:
        """Record one remark."""

    def write_checkpoint(self, episodes: int, turns: int) -> str:
        """Record everything needed to go on from here."""

    def extend_characters(self, characters: tuple[str, ...]) -> None:
        """Record that the character set has grown."""


def describe_fit(metadata: GameMetadata, settings: Hyperparameters) -> dict[str, Any]:
    """Return what a checkpoint and a configuration must agree on, as plain values."""
    described = metadata.to_mapping()
    fit: dict[str, Any] = {name: described.get(name) for name in MUST_MATCH}
    if metadata.end is not None:
        fit["reward"] = f"{metadata.reward} {json.dumps(dict(metadata.end))}"
    fit["observe_state"] = list(metadata.observe_state)
    fit["spatial"] = metadata.spatial
    fit.update({name: getattr(settings, name) for name in MUST_MATCH_SETTINGS})
    return fit


class LearnerRecorder:
    """Makes plain values of what the learner has to record, and hands them to whoever writes."""

    def __init__(self, writer: RunWriter, learner: Learner, metadata: GameMetadata, settings: Hyperparameters) -> None:
        self._writer = writer
        self._learner = learner
        self._metadata = metadata
        self._settings = settings

    def write_episode(self, line: EpisodeLine) -> None:
        """Hand on the line."""
        self._writer.write_episode(line)

    def write_note(self, text: str) -> None:
        """Hand on the remark."""
        self._writer.write_note(text)

    def write_checkpoint(self, episodes: int, turns: int) -> str:
        """Hand on the bytes of ep_NNNN and return that name."""
        return self._write(checkpoint_name(episodes), episodes, turns)

    def write_final(self, episodes: int, turns: int) -> str:
        """Hand on the bytes of ``final`` and return that name."""
        return self._write(FINAL, episodes, turns)

    def extend_characters(self, characters: tuple[str, ...]) -> None:
        """Hand on the character set."""
        self._writer.write_characters(characters)

    def _write(self, name: str, episodes: int, turns: int) -> str:
        state = {
            **self._learner.get_state(),
            "epsilon": epsilon_after(episodes, self._settings),
            "episode": episodes,
            "total_turns": turns,
            "characters": list(self._learner.characters),
            "spec": dataclasses.asdict(self._learner.spec),
            "must_match": describe_fit(self._metadata, self._settings),
            "player": self._metadata.player,
            "hyperparameters": dataclasses.asdict(self._settings),
        }
        self._writer.write_checkpoint(name, dump_checkpoint(state))
        return name
