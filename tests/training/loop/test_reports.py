from __future__ import annotations

import dataclasses
from typing import Any

from retro_gamer.acting.actor import Episode, Grant, Report
from retro_gamer.training.loop.backend import ActorLost, GrantReported, WorkerRemark
from tests.training.stand_ins import Stage, make_stage


def test_a_report_that_comes_after_its_actor_was_taken_for_lost_counts_for_nothing() -> None:
    stage = make_stage(1, training_episodes=3)
    grants = stage.workers.grants

    def report_of(grant: Grant) -> GrantReported:
        report = Report(
            episodes=tuple(Episode(ticket=t, total_reward=t, turns=5, truncated=False) for t in grant.tickets),
            unused_tickets=(),
            turns=15,
            replay_turns=15,
            unknown_characters={},
            failures=(),
            version=0,
            seconds=1.0,
        )
        return GrantReported(actor=0, report=report)

    def poll(timeout_seconds: float) -> list[Any]:
        if not stage.workers.granted:
            return []
        grant, late = stage.workers.granted.pop(0), report_of(grants[0][1])
        return [ActorLost(actor=0, reason="killed"), late] if len(grants) == 1 else [report_of(grant), late, late]

    stage.workers.poll = poll  # type: ignore[method-assign]
    assert stage.run()
    assert [line.total_reward for line in stage.sink.lines] == [1, 2, 3]
    assert [grant.tickets for _, grant in grants] == [(1, 2, 3), (1, 2, 3)]


def test_what_actors_wait_for_is_a_remark_and_costs_nothing() -> None:
    stage = make_stage(1, training_episodes=3)
    events: list[Any] = [WorkerRemark(text="No \x9bactor runs yet.")]
    play = stage.workers.poll

    def poll(timeout_seconds: float) -> list[Any]:
        return [events.pop()] if events else play(timeout_seconds)

    stage.workers.poll = poll  # type: ignore[method-assign]
    assert stage.run()
    assert "No \\x9bactor runs yet." in stage.sink.remarks
    assert len(stage.sink.lines) == 3


def meet(stage: Stage, character: str) -> None:
    stage.workers.change_report = lambda report: dataclasses.replace(report, unknown_characters={character: 2})


def test_an_unknown_character_is_named_once_with_what_to_do() -> None:
    stage = make_stage(2)
    meet(stage, "\x9b")
    assert stage.run()
    named = [remark for remark in stage.sink.remarks if "\\x9b" in remark]
    assert len(named) == 2
    assert 'unknown_character_strategy = "extend"' in named[0]
    reports = stage.workers.grants  # at the end: on how many cells it was met
    assert int(named[1].split(" on ")[1].split()[0]) in range(2, 2 * len(reports) + 1, 2)
    assert stage.learner.characters == ("a", "b")
    assert stage.sink.characters == []


def test_new_characters_extend_the_network_and_reach_every_later_grant() -> None:
    stage = make_stage(3, unknown_character_strategy="extend")
    seen: list[tuple[str, ...]] = []
    met = iter([{"z": 1, "y": 3}, {"y": 1, "q": 2}, {}])

    def change(report: Report) -> Report:
        unknown = next(met, {})
        seen.append(tuple(unknown))
        return dataclasses.replace(report, unknown_characters=unknown)

    def check_grant(actor: int, grant: Grant) -> None:
        assert stage.workers.published[-1].characters == stage.learner.characters

    stage.workers.change_report, stage.workers.on_grant = change, check_grant
    assert stage.run()
    assert stage.learner.characters == ("a", "b", "y", "z", "q")
    assert stage.sink.characters == [("a", "b", "y", "z"), ("a", "b", "y", "z", "q")]
    assert [remark for remark in stage.sink.remarks if "was extended by" in remark] == [
        "The network was extended by 'y', 'z'; what it has learned is unchanged.",
        "The network was extended by 'q'; what it has learned is unchanged.",
    ]
    assert not [remark for remark in stage.sink.remarks if "shown as empty" in remark]


def test_characters_published_without_an_update_between_are_published_again() -> None:
    stage = make_stage(1, unknown_character_strategy="extend", learning_starts=100_000)
    meet(stage, "z")
    assert stage.run()
    assert [(w.version, w.characters) for w in stage.workers.published] == [(0, ("a", "b")), (0, ("a", "b", "z"))]


def test_a_full_character_set_grows_no_more() -> None:
    stage = make_stage(1, unknown_character_strategy="extend")
    stage.learner.characters = tuple(chr(0x4E00 + i) for i in range(253))
    stage.workers.change_report = lambda report: dataclasses.replace(report, unknown_characters={"y": 1, "z": 1})
    assert stage.run()
    assert len(stage.learner.characters) == 254
    assert stage.learner.characters[-1] == "y"
    assert len([remark for remark in stage.sink.remarks if "is full" in remark]) == 1
    assert "'z'" in stage.sink.remarks[-1]
