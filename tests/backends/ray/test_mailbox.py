from __future__ import annotations

import threading

from retro_gamer.backends.ray.learner_process import Mailbox, MailedReporter, MailedWriter, deliver
from retro_gamer.run.log import EpisodeLine
from tests.training.stand_ins import ListReporter

LINE = EpisodeLine(episode=1, total_reward=1.0, steps=2, epsilon=0.5, avg_loss=0.1)


class ListWriter:
    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...]]] = []

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.calls.append((name, arguments))


def test_every_call_arrives_in_order_and_asking_again_changes_nothing() -> None:
    mailbox, kept, shown = Mailbox(), ListWriter(), ListReporter()
    writer, reporter = MailedWriter(mailbox), MailedReporter(mailbox)
    writer.begin("text")
    reporter.begin("text")
    writer.write_note("remark")
    reporter.note("remark")
    writer.write_episode(LINE)
    writer.write_checkpoint("ep_0001", b"bytes")
    writer.write_characters(("@", ">"))
    writer.begin_snapshot("ep_0001-00000000.npz")
    writer.add_snapshot_piece(b"piece")
    writer.commit_snapshot()
    writer.discard_snapshot()
    first = mailbox.collect(0, 0.0)
    assert mailbox.collect(0, 0.0) == first
    assert [message.number for message in first] == list(range(1, 12))
    for message in first:
        deliver(message, kept, shown)  # type: ignore[arg-type]
    assert kept.calls == [
        ("begin", ("text",)), ("write_note", ("remark",)), ("write_episode", (LINE,)),
        ("write_checkpoint", ("ep_0001", b"bytes")), ("write_characters", (("@", ">"),)),
        ("begin_snapshot", ("ep_0001-00000000.npz",)), ("add_snapshot_piece", (b"piece",)), ("commit_snapshot", ()),
        ("discard_snapshot", ()),
    ]  # fmt: skip
    assert (shown.texts, shown.notes) == (["text"], ["remark"])
    assert [message.number for message in mailbox.collect(9, 0.0)] == [10, 11]
    assert mailbox.collect(11, 0.0) == []


def test_only_the_newest_figures_are_kept() -> None:
    mailbox = Mailbox()
    for number in range(1000):
        mailbox.put("reporter", "progress", number)
    mailbox.put("writer", "write_note", "x")
    mailbox.put("reporter", "progress", 1000)
    assert [message.arguments for message in mailbox.collect(0, 0.0)] == [(999,), ("x",), (1000,)]


def test_a_full_mailbox_makes_the_learner_wait_until_it_is_emptied() -> None:
    mailbox = Mailbox(largest_bytes=10)
    mailbox.put("writer", "write_checkpoint", "one", b"12345678901")
    put = threading.Event()

    def put_another() -> None:
        mailbox.put("writer", "write_note", "two")
        put.set()

    thread = threading.Thread(target=put_another, daemon=True)
    thread.start()
    (held,) = mailbox.collect(0, 0.0)
    assert not put.is_set()
    assert [message.arguments for message in mailbox.collect(held.number, 30.0)] == [("two",)]
    assert put.wait(30)


def test_whoever_waits_for_a_message_has_it_at_once() -> None:
    mailbox = Mailbox()
    threading.Timer(0.05, lambda: mailbox.put("end", "outcome", 1)).start()
    assert [message.target for message in mailbox.collect(0, 60.0)] == ["end"]
