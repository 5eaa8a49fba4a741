from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from retro_gamer.acting.actor import Episode, Grant, Report
from retro_gamer.errors import EngineError, GameFailedError
from retro_gamer.training.loop.backend import ActorLost, GrantReported, ReplayLost
from retro_gamer.training.loop.training_loop import TrainingLoop
from tests.training.stand_ins import LEARNING_STARTS, Stage, make_stage


def test_actors_lost_again_and_again_end_the_run() -> None:
    stage = make_stage(2, workers={"chance_of_loss": 1.0})
    with pytest.raises(EngineError, match="--actors 0") as raised:
        stage.run()
    assert "it was killed" in str(raised.value)
    assert 10 <= stage.workers.lost <= 12


def test_an_actor_that_reports_in_between_shows_that_the_game_can_be_played() -> None:
    stage = make_stage(2, training_episodes=400, workers={"chance_of_loss": 0.5, "longest_game": 3, "seed": 1})
    assert stage.run()
    assert stage.workers.lost > 10


def test_a_game_that_takes_its_process_down_late_in_every_game_is_found_out() -> None:
    """Grants before that are reported well, but no game is ever over."""
    stage = make_stage(2, workers={"longest_game": 3})
    crashing = {0: 0, 1: 0}

    def poll(timeout_seconds: float) -> list[Any]:
        events: list[Any] = []
        for actor in list(stage.workers.granted):
            grant = stage.workers.granted.pop(actor)
            crashing[actor] += 1
            if crashing[actor] % 4 == 0:
                events.append(ActorLost(actor=actor, reason="game.py:7 in play_turn"))
                continue
            stage.workers.replay_turns += grant.turns
            events.append(GrantReported(actor=actor, report=make_report(stage, grant)))
        return events

    stage.workers.poll = poll  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="before any of their games was over") as raised:
        stage.run()
    assert "game.py:7" in str(raised.value)
    assert len([remark for remark in stage.sink.remarks if "was lost" in remark]) == 10


def make_report(stage: Stage, grant: Grant, **changes: Any) -> Report:
    """Return a report of turns without the end of a game."""
    report = Report(
        episodes=(), unused_tickets=(), turns=grant.turns, replay_turns=stage.workers.replay_turns,
        unknown_characters={}, failures=(), version=0, seconds=0.1,
    )  # fmt: skip
    return dataclasses.replace(report, **changes)


def test_actors_that_outgrow_their_limit_in_every_game_are_found_out() -> None:
    stage = make_stage(2)

    def poll(timeout_seconds: float) -> list[Any]:
        events: list[Any] = []
        for actor in list(stage.workers.granted):
            grant = stage.workers.granted.pop(actor)
            stage.workers.replay_turns += grant.turns
            recycled = {"unused_tickets": grant.tickets, "recycled": "it had grown by 900 MB"}
            events.append(GrantReported(actor=actor, report=make_report(stage, grant, **recycled)))
        return events

    stage.workers.poll = poll  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="actor_growth_megabytes"):
        stage.run()


@pytest.mark.parametrize("trouble", ["stop", "replay"])
def test_the_time_being_over_waits_for_nothing_that_will_not_come(
    trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Episodes still wait for their updates when a request to stop, or the loss of replay, comes."""
    stage = make_stage(2, training_episodes=100_000)
    monkeypatch.setattr(TrainingLoop, "_is_out_of_time", lambda loop: loop.episodes >= 20)
    update = TrainingLoop._update
    calls = [0]

    def stop_or_lose(loop: TrainingLoop, due: int) -> bool:
        if loop.episodes < 20:
            return update(loop, due)
        calls[0] += 1
        assert calls[0] < 1000, "it turns for ever"
        if trouble == "stop":
            stage.stop.signal_number = 15
            return update(loop, due)
        return False

    finish = TrainingLoop._finish_updates

    def finish_with_more(loop: TrainingLoop) -> None:
        loop._reports.finished.extend(
            Episode(ticket=n, total_reward=n, turns=50, truncated=False) for n in range(21, 30)
        )
        loop._ratio.turns += 500
        finish(loop)

    monkeypatch.setattr(TrainingLoop, "_update", stop_or_lose)
    monkeypatch.setattr(TrainingLoop, "_finish_updates", finish_with_more)
    assert stage.run() is (trouble == "replay")
    assert calls[0] > 0


def fail_all(stage: Stage, failure: str) -> None:
    """Let every game fail before its first turn, one ticket in each report."""

    def change(report: Report) -> Report:
        tickets = [episode.ticket for episode in report.episodes]
        stage.workers.replay_turns -= report.turns
        return dataclasses.replace(
            report,
            episodes=(),
            unused_tickets=(*report.unused_tickets, *tickets),
            turns=0,
            replay_turns=0,
            failures=(failure,),
        )

    stage.workers.change_report = change
    stage.workers.longest_game = 1


def test_a_game_that_always_fails_before_its_first_turn_ends_the_run() -> None:
    stage = make_stage(2)
    fail_all(stage, "game.py:3: ZeroDivisionError at turn 1")
    with pytest.raises(GameFailedError, match="20 times in a row") as raised:
        stage.run()
    assert "game.py:3" in str(raised.value)
    assert stage.sink.lines == []
    assert [remark for remark in stage.sink.remarks if "game.py:3" in remark] == [
        "The game failed: game.py:3: ZeroDivisionError at turn 1"
    ]


def test_a_game_that_sometimes_fails_is_trained_and_each_failure_is_noted_once() -> None:
    stage = make_stage(2, training_episodes=200)
    stage.workers.change_report = lambda report: dataclasses.replace(report, failures=("game.py:7: \x1b[31mOops",))
    assert stage.run()
    assert len([remark for remark in stage.sink.remarks if "Oops" in remark]) == 1
    assert "\x1b" not in "".join(stage.sink.remarks)


def test_games_cut_short_are_logged_and_the_reason_noted_once_for_all_turns() -> None:
    stage = make_stage(2)

    def change(report: Report) -> Report:
        episodes = (dataclasses.replace(e, failure=f"game.py failed at turn {e.turns}: Oops") for e in report.episodes)
        return dataclasses.replace(report, episodes=tuple(episodes))

    stage.workers.change_report = change
    assert stage.run()
    assert len(stage.sink.lines) == 60
    assert len([remark for remark in stage.sink.remarks if "cut short at its last good turn" in remark]) == 1
    assert stage.sink.remarks[-1] == "60 of 60 games were cut short by errors in the game's code."


def test_a_skipped_update_is_noted_once_and_sends_no_priorities() -> None:
    stage = make_stage(2, prioritize_experiences=True)
    stage.learner.skips = lambda call: call % 10 == 3
    assert stage.run()
    assert stage.learner.skipped_updates > 10
    assert len([remark for remark in stage.sink.remarks if "skipped" in remark]) == 1
    assert len(stage.workers.errors) == stage.learner.total_updates
    sent = {int(errors[0]) for _, errors in stage.workers.errors}
    assert not any(call % 10 == 3 for call in sent)
    assert not any(math.isnan(line.avg_loss) for line in stage.sink.lines[20:])


def test_updates_that_are_all_skipped_end_the_run() -> None:
    stage = make_stage(2, training_episodes=10_000)
    stage.learner.skips = lambda call: call > 50
    with pytest.raises(EngineError, match="not finite"):
        stage.run()
    assert stage.learner.skipped_updates == 100


def test_a_lost_replay_is_told_and_filled_before_the_next_update() -> None:
    stage = make_stage(2, training_episodes=200)
    poll, events, turns_seen = stage.workers.poll, [ReplayLost(reason="it was killed\x1b[2J")], list[int]()

    def poll_with_loss(timeout_seconds: float) -> list[Any]:
        if stage.loop.episodes >= 50 and events:
            turns_seen.append(stage.loop.turns)
            return [events.pop()]
        return poll(timeout_seconds)

    def check_update() -> None:
        if len(turns_seen) == 1:
            turns_seen.append(stage.loop.turns)

    stage.workers.poll = poll_with_loss  # type: ignore[method-assign]
    stage.learner.on_update = check_update
    assert stage.run()
    at_loss, at_next_update = turns_seen
    assert at_next_update - at_loss >= LEARNING_STARTS
    (remark,) = [remark for remark in stage.sink.remarks if "replay process was lost" in remark]
    assert "\x1b" not in remark


def test_a_batch_that_cannot_be_had_is_no_update() -> None:
    stage = make_stage(2)
    next_batch, gone = stage.workers.next_batch, [True] * 5
    stage.workers.next_batch = (  # type: ignore[method-assign]
        lambda wanted, spec: None if gone and gone.pop() else next_batch(wanted, spec)
    )
    assert stage.run()
    assert stage.learner.calls == (stage.loop.turns - LEARNING_STARTS) // 4


def test_a_replay_lost_again_and_again_ends_the_run() -> None:
    stage = make_stage(2, training_episodes=10_000)
    stage.workers.poll = lambda timeout_seconds: [ReplayLost(reason="killed")]  # type: ignore[method-assign, list-item]
    with pytest.raises(EngineError, match="memory_capacity"):
        stage.run()
