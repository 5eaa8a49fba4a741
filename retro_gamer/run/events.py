"""What happens in a run, as one stream of events: whoever writes, shows or sends them is an `EventSink`."""

from __future__ import annotations

import dataclasses
import logging
from typing import Protocol, runtime_checkable

from retro_gamer.errors import RetroGamerError
from retro_gamer.run.log import EpisodeLine

logger = logging.getLogger("retro_gamer")


@dataclasses.dataclass(frozen=True)
class Starting:
    """The network and the allocation are known; the workers start next. Nothing is written yet."""

    text: str
    """Describes both."""


@dataclasses.dataclass(frozen=True)
class Started:
    """The workers run, so the log may begin or be rewound."""

    text: str
    """As in `Starting`."""


@dataclasses.dataclass(frozen=True)
class Remark:
    """Something the user should know; it is logged and shown."""

    text: str


@dataclasses.dataclass(frozen=True)
class CharacterSet:
    """The character set has grown to this."""

    characters: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as the bytes of a file. It may name a snapshot committed before, never a later one."""

    name: str
    data: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class SnapshotBegun:
    """The pieces that follow are those of the snapshot `name`; one begun before and not committed is dropped."""

    name: str


@dataclasses.dataclass(frozen=True)
class SnapshotPiece:
    """The next piece of the snapshot."""

    data: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class SnapshotCommitted:
    """The snapshot is complete: later checkpoints name it."""


@dataclasses.dataclass(frozen=True)
class SnapshotDiscarded:
    """The snapshot is dropped."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is, and how fast, several times a second. Rates are per second, over the last ten seconds."""

    episodes: int
    training_episodes: int
    turns: int
    updates: int
    turns_per_second: float
    updates_per_second: float
    mean_reward: float
    """Mean total reward of the last 100 episodes; nan before the first."""
    epsilon: float
    learning_rate: float
    loss: float
    """Mean loss of the last 100 updates; nan before the first."""
    turns_per_update: float
    """Achieved since the start; nan before the first update."""
    target_turns_per_update: int
    elapsed_seconds: float
    seconds_left: float
    """Until the last episode or the time limit, whichever is first; nan while unknown."""
    n_actors: int
    present_actors: int = 0
    """Actors that have a process; the others wait for a place on some node."""
    lost_actors: int = 0
    """Actors lost and replaced since this command began."""
    policy_lag_updates: int = 0
    """Updates done between the weights that the latest report was played with and that report."""
    learner_wait_share: float = 0.0
    """Share of the last seconds in which the learner waited for turns or batches."""
    actor_wait_share: float = 0.0
    """Share of the present actors without a grant, as a moving average."""
    replay_turns: int = 0
    """Turns that replay has received."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """How training ended: its last event, unless it failed."""

    episodes: int
    training_episodes: int
    turns: int
    updates: int
    seconds: float
    complete: bool
    """Whether all episodes or the whole time were used; a signal stopped it otherwise."""
    signal_number: int | None
    checkpoint: str
    """The name of the checkpoint written at the end."""


@dataclasses.dataclass(frozen=True)
class Failed:
    """Training ended with an error."""

    error: RetroGamerError


SnapshotEvent = SnapshotBegun | SnapshotPiece | SnapshotCommitted | SnapshotDiscarded
RunEvent = (
    Starting
    | Started
    | EpisodeLine
    | Remark
    | CharacterSet
    | Checkpoint
    | SnapshotEvent
    | Progress
    | TrainingOutcome
    | Failed
)


@runtime_checkable
class EventSink(Protocol):
    """Takes the events of a run in their order, all in one thread, and ignores those it has no use for."""

    def handle(self, event: RunEvent) -> None:
        """Take one event."""


class Broadcast:
    """Hands each event to several sinks, in their order."""

    def __init__(self, *sinks: EventSink) -> None:
        self._sinks = sinks

    def handle(self, event: RunEvent) -> None:
        """Hand the event to each sink."""
        for sink in self._sinks:
            sink.handle(event)


class EventLogger:
    """Logs what a user should know with the logger ``retro_gamer``, for scripts and notebooks without a display."""

    def handle(self, event: RunEvent) -> None:
        """Log a description as information, a remark as a warning, and progress for debugging."""
        match event:
            case Starting():
                logger.info("%s", event.text)
            case Remark():
                logger.warning("%s", event.text)
            case Progress():
                logger.debug("%s", event)
