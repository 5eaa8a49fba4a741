from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest

from retro_gamer.acting.actor import Grant
from retro_gamer.run.log import EpisodeLine
from retro_gamer.training.loop import progress
from retro_gamer.training.loop.checkpointing import Counters
from retro_gamer.training.loop.schedules import epsilon_after, learning_rate_after
from tests.training.stand_ins import LEARNING_STARTS, ListDiagnostics, make_stage

TROUBLES: dict[str, dict[str, float]] = {
    "none": {},
    "losses": {"chance_of_loss": 0.15},
    "repetitions": {"chance_of_repetition": 0.5},
    "all": {"chance_of_loss": 0.15, "chance_of_repetition": 0.5},
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("n_actors", [1, 3, 8])
@pytest.mark.parametrize("longest_game", [1, 60, 400])
def test_every_episode_is_logged_once_and_in_order(trouble: str, n_actors: int, longest_game: int) -> None:
    stage = make_stage(n_actors, workers={"longest_game": longest_game, **TROUBLES[trouble]})
    assert stage.run()
    assert [line.episode for line in stage.sink.lines] == list(range(1, 61))
    # The total reward of an episode is its ticket here.
    assert sorted(line.total_reward for line in stage.sink.lines) == list(range(1, 61))
    assert stage.loop.episodes == 60
    losses = [remark for remark in stage.sink.remarks if "was lost (it was killed)" in remark]
    assert len(losses) == stage.workers.lost
    if "chance_of_loss" in TROUBLES[trouble]:
        assert losses


@pytest.mark.parametrize("n_actors", [1, 3])
@pytest.mark.parametrize("train_every", [1, 4, 50])
def test_turns_and_updates_are_tied_both_ways(n_actors: int, train_every: int) -> None:
    stage = make_stage(n_actors, train_every=train_every, workers={"chance_of_loss": 0.1})
    workers, learner = stage.workers, stage.learner

    def check_update() -> None:
        assert (learner.calls + 1) * train_every <= workers.replay_turns - LEARNING_STARTS

    def check_grant(actor: int, grant: Grant) -> None:
        outstanding = sum(g.turns for g in workers.granted.values())
        received = stage.loop.turns
        reach = LEARNING_STARTS + learner.calls * train_every + stage.allocation.dead_band_turns
        assert received + outstanding + grant.turns <= reach

    learner.on_update, workers.on_grant = check_update, check_grant
    assert stage.run()
    # What the last turns allow is done at the end.
    assert learner.calls == (stage.loop.turns - LEARNING_STARTS) // train_every
    assert stage.sink.progresses[-1].turns_per_update == pytest.approx(train_every, rel=0.3)


def test_epsilon_and_learning_rate_move_on_with_every_completed_episode() -> None:
    stage = make_stage(3, epsilon_decay=0.9, lr_decay=0.8)
    settings = stage.settings

    def check_grant(actor: int, grant: Grant) -> None:
        assert grant.epsilon == epsilon_after(len(stage.sink.lines), settings)
        assert stage.learner.learning_rates[-1] == learning_rate_after(len(stage.sink.lines), settings)

    stage.workers.on_grant = check_grant
    stage.run()
    assert [line.epsilon for line in stage.sink.lines] == [epsilon_after(i, settings) for i in range(60)]
    assert stage.learner.learning_rates == [learning_rate_after(i, settings) for i in range(61)]


def test_every_grant_is_played_with_the_latest_weights_published_once() -> None:
    stage = make_stage(3)

    def check_grant(actor: int, grant: Grant) -> None:
        assert stage.workers.published[-1].version == stage.learner.total_updates

    stage.workers.on_grant = check_grant
    stage.run()
    versions = [weights.version for weights in stage.workers.published]
    assert versions == sorted(set(versions))
    assert len(versions) > 5


@pytest.mark.parametrize("n_actors", [1, 3, 13])
def test_the_more_actors_there_are_the_larger_a_grant_each_waits_for(n_actors: int) -> None:
    stage = make_stage(n_actors, training_episodes=300)
    assert stage.run()
    smallest = min(grant.turns for _, grant in stage.workers.grants)
    assert smallest >= min(stage.allocation.grant_turns, 4 * n_actors), "each costs a copy of the weights"
    # And none is passed over for another that came later: the learner sets the pace, not their numbers.
    played = Counter(actor for actor, _ in stage.workers.grants)
    quick = [played[actor] for actor in range(1, n_actors)]
    assert max(quick, default=1) <= 2 * min(quick, default=1)


def test_the_mean_loss_of_a_line_is_that_of_the_updates_before_it() -> None:
    stage = make_stage(2)
    updates_at_line: list[int] = []
    stage.sink.on_line = lambda line: updates_at_line.append(stage.learner.total_updates)
    stage.run()
    before = 0
    for line, count in zip(stage.sink.lines, updates_at_line, strict=True):
        if count == before:
            assert math.isnan(line.avg_loss)
        else:
            assert line.avg_loss == pytest.approx((before + 1 + count) / 2)  # the loss of update n is n
        before = count
    assert before > 100


def test_updates_are_spread_evenly_among_the_episodes_of_one_report() -> None:
    stage = make_stage(1, train_every=1, training_episodes=400, workers={"longest_game": 4})
    updates_at_line: list[int] = []
    stage.sink.on_line = lambda line: updates_at_line.append(stage.learner.total_updates)
    stage.run()
    counts = np.diff(updates_at_line)[100:]
    # A game lasts 2.5 turns on average and never more than 4.
    assert counts.mean() == pytest.approx(2.5, abs=0.3)
    assert counts.max() <= 8


def test_checkpoints_are_written_every_100_episodes() -> None:
    stage = make_stage(2, training_episodes=250, workers={"longest_game": 3})
    turns_at_line: list[int] = []
    stage.sink.on_line = lambda line: turns_at_line.append(stage.loop.turns)
    stage.run()
    assert stage.sink.checkpoints == [(100, turns_at_line[99]), (200, turns_at_line[199])]


def test_a_resumed_run_counts_on() -> None:
    stage = make_stage(2, start=Counters(episodes=45, turns=7000), epsilon_decay=0.9)
    stage.learner.total_updates = 1234
    stage.workers.restore(b"", 7000)
    assert stage.run()
    assert [line.episode for line in stage.sink.lines] == list(range(46, 61))
    assert sorted(line.total_reward for line in stage.sink.lines) == list(range(46, 61))
    assert stage.sink.lines[0].epsilon == epsilon_after(45, stage.settings)
    assert stage.loop.turns == stage.workers.replay_turns > 7000
    assert stage.learner.learning_rates[0] == learning_rate_after(45, stage.settings)
    assert stage.sink.progresses[-1].updates == stage.learner.total_updates


def test_a_run_that_is_over_before_it_begins_plays_nothing() -> None:
    stage = make_stage(2, start=Counters(episodes=80, turns=7000))
    assert stage.run()
    assert (stage.sink.lines, stage.workers.grants) == ([], [])


def test_a_stop_ends_the_run_at_the_episode_reached() -> None:
    stage = make_stage(3)

    def request_stop(line: EpisodeLine) -> None:
        if line.episode == 20:
            stage.stop.signal_number = 15

    stage.sink.on_line = request_stop
    assert not stage.run()
    assert [line.episode for line in stage.sink.lines] == list(range(1, 21))
    calls = stage.learner.calls
    assert calls <= (stage.loop.turns - LEARNING_STARTS) // 4


def test_the_time_limit_ends_the_run_at_an_episode_and_counts_as_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    stage = make_stage(2, training_episodes=100_000)
    stage.seconds = 50.0

    def tick(line: EpisodeLine) -> None:
        clock.now += 1.0

    stage.sink.on_line = tick
    assert stage.run()
    lines = stage.sink.lines
    assert [line.episode for line in lines] == list(range(1, len(lines) + 1))
    assert 50 <= len(lines) < 150
    assert stage.loop.episodes == len(lines)


def test_priorities_go_back_with_the_ids_of_their_batch() -> None:
    stage = make_stage(2, prioritize_experiences=True)
    assert stage.run()
    for number, (ids, errors) in enumerate(stage.workers.errors, start=1):
        assert ids[0] == 100 * number
        assert set(errors.tolist()) == {float(number)}


def test_uniform_sampling_sends_no_priorities() -> None:
    stage = make_stage(2)
    assert stage.run()
    assert stage.workers.errors == []


def test_the_last_progress_tells_of_the_end() -> None:
    stage = make_stage(2)
    stage.run()
    last = stage.sink.progresses[-1]
    assert (last.episodes, last.turns, last.updates) == (60, stage.loop.turns, stage.learner.total_updates)
    assert last.mean_reward == pytest.approx(np.mean([line.total_reward for line in stage.sink.lines]))


def test_the_diagnostics_get_everything_and_their_remarks_are_emitted() -> None:
    stage = make_stage(2)
    stage.diagnostics = ListDiagnostics()
    stage.workers.change_report = lambda report: dataclasses.replace(report, greedy_choices={1: 5}, largest_reward=2.5)
    assert stage.run()
    lines = stage.sink.lines
    assert stage.diagnostics.episodes == [(line.total_reward, line.epsilon) for line in lines]
    assert [loss for loss, _ in stage.diagnostics.updates] == list(range(1, stage.learner.total_updates + 1))
    assert stage.diagnostics.plays == [({1: 5}, 2.5)] * len(stage.workers.grants)
    assert stage.sink.remarks == ["before the first episode", *(f"at episode {n}" for n in range(10, 61, 10))]


def test_an_actor_that_has_no_place_yet_gets_nothing_and_one_that_joins_later_does() -> None:
    stage = make_stage(3)
    stage.workers.absent = frozenset({1, 2})

    def join(line: EpisodeLine) -> None:
        if line.episode == 20:
            assert {actor for actor, _ in stage.workers.grants} == {0}
            stage.workers.absent = frozenset({2})

    stage.sink.on_line = join
    assert stage.run()
    assert [line.episode for line in stage.sink.lines] == list(range(1, 61))
    assert {actor for actor, _ in stage.workers.grants} == {0, 1}
