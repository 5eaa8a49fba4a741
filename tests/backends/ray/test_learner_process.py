from __future__ import annotations

import threading

from retro_gamer.backends.ray.learner_process import EventQueue
from retro_gamer.run.events import (
    CharacterSet,
    Checkpoint,
    Progress,
    Remark,
    RunEvent,
    SnapshotBegun,
    SnapshotCommitted,
    SnapshotDiscarded,
    SnapshotPiece,
    Started,
    Starting,
    TrainingOutcome,
)
from retro_gamer.run.log import EpisodeLine
from tests.run.test_events import PROGRESS

EVENTS: list[RunEvent] = [
    Starting("text"),
    Started("text"),
    Remark("remark"),
    EpisodeLine(episode=1, total_reward=1.0, steps=2, epsilon=0.5, avg_loss=0.1),
    Checkpoint("ep_0001", b"bytes"),
    CharacterSet(("@", ">")),
    SnapshotBegun("ep_0001-00000000.npz"),
    SnapshotPiece(b"piece"),
    SnapshotCommitted(),
    SnapshotDiscarded(),
    TrainingOutcome(
        episodes=1, training_episodes=1, turns=2, updates=0, seconds=1.0, complete=True, signal_number=None,
        checkpoint="final",
    ),
]  # fmt: skip


def test_every_event_arrives_in_order_and_asking_again_changes_nothing() -> None:
    queue = EventQueue()
    for event in EVENTS:
        queue.handle(event)
    first = queue.collect(0, 0.0)
    assert queue.collect(0, 0.0) == first
    assert [numbered.number for numbered in first] == list(range(1, 12))
    assert [numbered.event for numbered in first] == EVENTS
    assert [numbered.number for numbered in queue.collect(9, 0.0)] == [10, 11]
    assert queue.collect(11, 0.0) == []


def test_only_the_newest_progress_is_kept() -> None:
    queue = EventQueue()
    for turns in range(1000):
        queue.handle(progress(turns))
    queue.handle(Remark("x"))
    queue.handle(progress(1000))
    kept = [numbered.event for numbered in queue.collect(0, 0.0)]
    assert kept == [progress(999), Remark("x"), progress(1000)]


def progress(turns: int) -> Progress:
    zeros = dict.fromkeys(vars(PROGRESS), 0)
    return Progress(**{**zeros, "turns": turns})


def test_a_full_queue_makes_the_learner_wait_until_it_is_emptied() -> None:
    queue = EventQueue(largest_bytes=10)
    queue.handle(Checkpoint("one", b"12345678901"))
    added = threading.Event()

    def add_another() -> None:
        queue.handle(Remark("two"))
        added.set()

    thread = threading.Thread(target=add_another, daemon=True)
    thread.start()
    (held,) = queue.collect(0, 0.0)
    assert not added.is_set()
    assert [numbered.event for numbered in queue.collect(held.number, 30.0)] == [Remark("two")]
    assert added.wait(30)


def test_whoever_waits_for_an_event_has_it_at_once() -> None:
    queue = EventQueue()
    threading.Timer(0.05, lambda: queue.handle(Remark("now"))).start()
    assert [numbered.event for numbered in queue.collect(0, 60.0)] == [Remark("now")]
