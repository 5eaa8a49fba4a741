from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.errors import EngineError
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.run.events import (
    Checkpoint,
    Remark,
    RunEvent,
    SnapshotBegun,
    SnapshotCommitted,
    SnapshotDiscarded,
    SnapshotPiece,
)
from retro_gamer.training.loop.checkpointing import LAST_SNAPSHOT_SECONDS, MEGABYTE, Checkpointing, Counters
from tests.training.stand_ins import METADATA, CountingLearner

PAUSE = 180.0  # checkpoint_minutes = 3


class Tape(CountingLearner):
    """Learner, workers and sink in one: everything that is asked of them or emitted is written on it, in order."""

    def __init__(self, pieces: list[bytes | Exception | None]) -> None:
        super().__init__()
        self.events: list[str] = []
        self.pieces = pieces
        self.coming: list[bytes | Exception | None] = []
        self.now = 0.0
        self.remarks: list[str] = []

    def begin_snapshot(self, limit: int) -> None:
        assert limit == 256 * MEGABYTE
        self.coming = list(self.pieces)
        self.events.append("copy")

    def next_piece(self, timeout_seconds: float) -> bytes | None:
        self.now += timeout_seconds
        piece = self.coming.pop(0) if self.coming else None
        if isinstance(piece, Exception):
            raise piece
        return piece

    def handle(self, event: RunEvent) -> None:
        match event:
            case SnapshotBegun():
                self.events.append(f"begin {int(event.name.partition('-')[0].removeprefix('ep_'))}")
            case SnapshotPiece():
                self.events.append(event.data.decode())
            case SnapshotCommitted():
                self.events.append("commit")
            case SnapshotDiscarded():
                self.events.append("discard")
            case Checkpoint():
                self.events.append("final" if event.name == "final" else f"ep {int(event.name.removeprefix('ep_'))}")
            case Remark():
                self.remarks.append(event.text)


def make(
    pieces: list[bytes | Exception | None], *, is_inline: bool = False, megabytes: int = 256
) -> tuple[Tape, Checkpointing]:
    tape = Tape(pieces)
    checkpointing = Checkpointing(
        learner=tape,  # type: ignore[arg-type]
        replay=tape,  # type: ignore[arg-type]
        metadata=METADATA,
        settings=Hyperparameters(snapshot_megabytes=megabytes),
        sink=tape,
        is_inline=is_inline,
        clock=lambda: tape.now,
    )
    return tape, checkpointing


def complete(tape: Tape, checkpointing: Checkpointing, episodes: range, seconds: float = 0.0) -> list[str]:
    """Complete episodes, each `seconds` after the one before, with a look at the copy in between; return the events."""
    tape.events = []
    for episode in episodes:
        tape.now += seconds
        checkpointing.after_episode(at(episode))
        checkpointing.advance()
    return tape.events


def at(episode: int) -> Counters:
    return Counters(episodes=episode, turns=10 * episode)


def test_hundreds_are_kept_without_a_copy() -> None:
    tape, checkpointing = make([])
    assert complete(tape, checkpointing, range(1, 251)) == ["ep 100", "ep 200"]


def test_the_checkpoint_that_names_a_copy_comes_after_it_is_whole() -> None:
    tape, checkpointing = make([None, b"one", None, b"two", b""])
    assert complete(tape, checkpointing, range(1, 3), PAUSE / 2) == ["copy", "begin 2"]
    assert complete(tape, checkpointing, range(3, 7)) == ["one", "two", "commit", "ep 5"]
    assert complete(tape, checkpointing, range(7, 9), PAUSE / 2) == ["copy", "begin 8"]


def test_a_hundred_that_comes_while_a_copy_is_made_is_kept_all_the_same() -> None:
    tape, checkpointing = make([None, None, None, b"one", b""])
    assert complete(tape, checkpointing, range(98, 100), PAUSE / 2) == ["copy", "begin 99"]
    assert complete(tape, checkpointing, range(100, 104)) == ["ep 100", "one", "commit", "ep 103"]


def test_in_one_process_copy_and_checkpoint_are_of_one_moment() -> None:
    tape, checkpointing = make([None, b"one", b""], is_inline=True)
    assert complete(tape, checkpointing, range(1, 4), PAUSE / 2) == ["copy", "begin 2", "one", "commit", "ep 2"]


def test_without_copies_the_checkpoints_come_all_the_same() -> None:
    tape, checkpointing = make([], megabytes=0)
    assert complete(tape, checkpointing, range(1, 6), PAUSE / 2) == ["ep 2", "ep 4"]


@pytest.mark.parametrize("error", [EngineError("replay is gone"), MemoryError("full"), ValueError("odd"), OSError("x")])
def test_a_copy_that_fails_is_told_and_the_checkpoint_written(error: Exception) -> None:
    tape, checkpointing = make([b"one", error])
    assert complete(tape, checkpointing, range(1, 4), PAUSE / 2) == ["copy", "begin 2", "one", "discard", "ep 3"]
    assert len(tape.remarks) == 1
    assert str(error) in tape.remarks[0]


def test_the_last_checkpoint_is_there_before_its_copy_and_then_names_it() -> None:
    tape, checkpointing = make([None, b"one", b""])
    assert checkpointing.finish(at(7), is_final=False) == "ep_0007"
    assert tape.events == ["ep 7", "copy", "begin 7", "one", "commit", "ep 7"]
    tape.events = []
    assert checkpointing.finish(at(9), is_final=True) == "final"
    assert tape.events == ["final", "copy", "begin 9", "one", "commit", "final"]


def test_a_last_copy_that_does_not_come_is_not_waited_for_for_ever() -> None:
    tape, checkpointing = make([b"one"])
    checkpointing.finish(at(7), is_final=False)
    assert tape.events == ["ep 7", "copy", "begin 7", "one", "discard"]
    assert tape.now == pytest.approx(LAST_SNAPSHOT_SECONDS, abs=1)


def test_a_run_without_a_turn_has_nothing_to_copy(tmp_path: Path) -> None:
    tape, checkpointing = make([b""])
    checkpointing.finish(Counters(episodes=0, turns=0), is_final=False)
    assert tape.events == ["ep 0"]


def told(events: list[str]) -> list[str]:
    return [event for event in events if not event.startswith("begin")]


@pytest.mark.parametrize("seconds", [200.0, 600.0])
def test_episodes_further_apart_than_the_pause_are_kept_each_with_the_copy_begun_at_the_one_before(
    seconds: float,
) -> None:
    tape, checkpointing = make([b"one", b""])
    wanted = ["copy", "one", "commit"]
    for episode in range(2, 6):
        wanted += [f"ep {episode}", "copy", "one", "commit"]
    assert told(complete(tape, checkpointing, range(1, 6), seconds)) == wanted


def test_a_copy_that_takes_longer_than_the_pause_is_not_begun_again_before_it_is_whole() -> None:
    slow = [piece for _ in range(4) for piece in (b"piece", None)]
    tape, checkpointing = make([*slow, b""])
    events = told(complete(tape, checkpointing, range(1, 8), PAUSE))
    assert events == ["copy", "piece", "piece", "piece", "piece", "commit", "ep 6", "copy", "piece", "piece"]


def test_a_hundred_that_is_owed_besides_is_written_once() -> None:
    tape, checkpointing = make([b"one", b""])
    complete(tape, checkpointing, range(1, 99))
    events = told(complete(tape, checkpointing, range(99, 101), PAUSE))
    assert events == ["copy", "one", "commit", "ep 100", "copy", "one", "commit"]
