"""What a run writes while it goes on: log lines, checkpoints and the growing character set."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Protocol

from retro_gamer.errors import EngineError
from retro_gamer.features.spec import SIZES
from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.checkpoint import dump_checkpoint
from retro_gamer.learning.learner import Learner
from retro_gamer.run.directory import FINAL, checkpoint_name
from retro_gamer.run.log import EpisodeLine
from retro_gamer.run.snapshots import snapshot_name
from retro_gamer.run.writer import RunWriter
from retro_gamer.training.schedule import epsilon_after

MUST_MATCH = ("actions", "reward", "spatial", "observe_state", "board_size", "observe")
MUST_MATCH_SETTINGS = SIZES


@dataclasses.dataclass(frozen=True, kw_only=True)
class Position:
    """Where a run stands: what a checkpoint says beside the network."""

    episodes: int
    turns: int
    slack_turns: int = 0
    """See `TurnsPerUpdate.slack_turns`."""
    recent_rewards: tuple[float, ...] = ()
    """Total rewards of the last episodes, for the mean that is shown."""
    largest_reward: float = 0.0
    """The largest |reward| of a turn so far, for what is said of values."""


class Recorder(Protocol):
    """Takes what the training loop has to record."""

    def write_episode(self, line: EpisodeLine) -> None:
        """Record one completed episode."""

    def write_note(self, text: str) -> None:
        """Record one remark."""

    def write_checkpoint(self, position: Position) -> str:
        """Record everything needed to go on from here, and return under which name."""

    def write_final(self, position: Position) -> str:
        """Record the same as the run's last."""

    def begin_snapshot(self, episodes: int) -> None:
        """Begin to record a copy of the memory."""

    def add_snapshot_piece(self, piece: bytes) -> None:
        """Record a piece of it."""

    def commit_snapshot(self) -> None:
        """The copy is whole: checkpoints from now on name it."""

    def discard_snapshot(self) -> None:
        """Forget the copy that was begun."""

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
        self._snapshot: str | None = None
        self._next_snapshot: str | None = None

    def write_episode(self, line: EpisodeLine) -> None:
        """Hand on the line."""
        self._writer.write_episode(line)

    def write_note(self, text: str) -> None:
        """Hand on the remark."""
        self._writer.write_note(text)

    def write_checkpoint(self, position: Position) -> str:
        """Hand on the bytes of ep_NNNN and return that name.

        Raises:
            EngineError: if the network holds numbers that are not finite; what was kept before stays.
        """
        return self._write(checkpoint_name(position.episodes), position)

    def write_final(self, position: Position) -> str:
        """Hand on the bytes of ``final`` and return that name.

        Raises:
            EngineError: as `write_checkpoint`.
        """
        return self._write(FINAL, position)

    def begin_snapshot(self, episodes: int) -> None:
        """Hand on a new name for a snapshot."""
        self._next_snapshot = snapshot_name(episodes)
        self._writer.begin_snapshot(self._next_snapshot)

    def add_snapshot_piece(self, piece: bytes) -> None:
        """Hand on the piece."""
        self._writer.add_snapshot_piece(piece)

    def commit_snapshot(self) -> None:
        """Hand on that it is whole; what is handed on later is written later, so checkpoints may name it."""
        self._writer.commit_snapshot()
        self._snapshot, self._next_snapshot = self._next_snapshot, None

    def discard_snapshot(self) -> None:
        """Hand on that it will not be."""
        self._writer.discard_snapshot()
        self._next_snapshot = None

    def extend_characters(self, characters: tuple[str, ...]) -> None:
        """Hand on the character set."""
        self._writer.write_characters(characters)

    def _write(self, name: str, position: Position) -> str:
        if not self._learner.is_finite:
            raise EngineError(
                f"the network holds numbers that are not finite, so {name} was not written. Resume from an earlier "
                "checkpoint with a smaller learning_rate."
            )
        state = {
            **self._learner.get_state(),
            "epsilon": epsilon_after(position.episodes, self._settings),
            "episode": position.episodes,
            "total_turns": position.turns,
            "slack_turns": position.slack_turns,
            "recent_rewards": list(position.recent_rewards),
            "largest_reward": position.largest_reward,
            "replay_snapshot": self._snapshot,
            "characters": list(self._learner.characters),
            "spec": dataclasses.asdict(self._learner.spec),
            "must_match": describe_fit(self._metadata, self._settings),
            "player": self._metadata.player,
            "hyperparameters": dataclasses.asdict(self._settings),
        }
        self._writer.write_checkpoint(name, dump_checkpoint(state))
        return name
