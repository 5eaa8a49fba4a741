from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from retro.game import Game

from retro_gamer.acting.actor import Actor, Episode, Grant, Report
from retro_gamer.features.spec import make_spec
from retro_gamer.games.session import GameSession
from retro_gamer.learning.learner import Learner
from retro_gamer.learning.step import squash, unsquash
from retro_gamer.replay.transitions import Block
from tests.acting.tiny_games import METADATA, Walker, ends_after, never_ends, raises_at, walks
from tests.learning.samples import make_settings, q_values


class Harness:
    """An actor, the learner it follows, and all that it pushed and reported."""

    def __init__(
        self, factory: Callable[[], Game], *, n_games: int = 1, block_turns: int = 16, seed: int = 5, **changed: Any
    ) -> None:
        self.settings = make_settings(**changed)
        spec = make_spec(METADATA, self.settings, has_player=True)
        self.learner = Learner(spec, self.settings, METADATA.character_set or ())
        self.actor = Actor(
            make_session=lambda: GameSession(factory, METADATA),
            metadata=METADATA,
            spec=spec,
            settings=self.settings,
            n_games=n_games,
            block_turns=block_turns,
            seed=seed,
        )
        self.blocks: list[Block] = []
        self.pushed_turns = 0

    def push(self, block: Block) -> int:
        block.check_valid()
        self.blocks.append(block)
        self.pushed_turns += block.turns
        return self.pushed_turns

    def play(
        self, tickets: tuple[int, ...], turns: int = 10_000, epsilon: float = 1.0, seconds: float = np.inf
    ) -> Report:
        grant = Grant(turns=turns, seconds=seconds, epsilon=epsilon, tickets=tickets)
        return self.actor.play(grant, self.learner.publish(), self.push)

    def prefer(self, action: int) -> None:
        """Let the policy take that action whatever the board."""
        head: Any = self.learner.network.head
        last = head[-1]
        with torch.no_grad():
            last.weight.zero_()
            last.bias.zero_()
            last.bias[action - self.learner.spec.n_actions] = 1.0

    def column(self, field: str) -> np.ndarray:
        return np.concatenate([getattr(block, field) for block in self.blocks])

    def ends(self, name: str) -> np.ndarray:
        """Return the state value (the turn count) in which each transition starts ("first") or ends ("next")."""
        return np.concatenate([block.state[getattr(block, name), 0] for block in self.blocks])

    def q_values(self, block: Block, rows: np.ndarray) -> np.ndarray:
        boards = (block.codes[rows], block.player[rows], block.state[rows])
        values: np.ndarray = q_values(self.learner.network, boards).numpy()
        return values


def tickets_of(report: Report) -> list[int]:
    return [episode.ticket for episode in report.episodes]


@pytest.mark.parametrize("n_games", [1, 3, 8])
def test_every_ticket_comes_back_once_as_an_episode_or_unused(n_games: int) -> None:
    harness = Harness(walks(ends_after(7)), n_games=n_games)
    waiting = list(range(1, 31))
    completed: list[int] = []
    held: set[int] = set()
    while len(completed) < 30:
        granted = tuple(waiting[:9])
        del waiting[:9]
        held |= set(granted)
        report = harness.play(granted, turns=11)
        for ticket in (*tickets_of(report), *report.unused_tickets):
            held.remove(ticket)
        completed += tickets_of(report)
        waiting += report.unused_tickets
        assert len(held) <= n_games
    assert sorted(completed) == list(range(1, 31))
    assert not held
    assert not waiting
    assert harness.pushed_turns == 30 * 7


def test_a_report_tells_what_was_played() -> None:
    harness = Harness(walks(ends_after(4)), n_games=2)
    report = harness.play((7, 8, 9))
    assert sorted(tickets_of(report)) == [7, 8, 9]
    assert all(e.turns == 4 and not e.truncated and e.failure is None for e in report.episodes)
    assert (report.turns, report.replay_turns, report.unused_tickets, report.failures) == (12, 12, (), ())
    assert report.version == 0
    assert report.seconds > 0
    assert sum(e.total_reward for e in report.episodes) == pytest.approx(rewards_earned(harness))


def rewards_earned(harness: Harness) -> float:
    """Return the sum of rewards by what each transition's first reward must have been, from the player's moves."""
    total = 0.0
    for block in harness.blocks:
        for row, action in zip(block.first, block.action, strict=True):
            x = int(block.player[row, 0])
            total += {0: 1 if x < 5 else 0, 1: -1 if x > 0 else 0}.get(int(action), 0)
    return total


def test_a_grant_is_bounded_by_turns_and_games_go_on_with_the_next() -> None:
    harness = Harness(walks(ends_after(100)), n_games=4)
    report = harness.play(tuple(range(20)), turns=50)
    assert 50 <= report.turns < 54
    assert report.episodes == ()
    assert sorted(report.unused_tickets) == list(range(4, 20))
    report = harness.play((), turns=10_000)
    assert sorted(tickets_of(report)) == [0, 1, 2, 3]
    assert [e.turns for e in report.episodes] == [100] * 4
    assert harness.pushed_turns == 400


def test_a_grant_is_bounded_by_seconds() -> None:
    report = Harness(walks(never_ends)).play((1, 2), seconds=0.0)
    assert (report.turns, report.unused_tickets, report.replay_turns) == (0, (1, 2), 0)
    report = Harness(walks(never_ends), max_turns_per_episode=1_000_000).play((1,), turns=10**9, seconds=0.05)
    assert report.turns > 0


def test_without_tickets_or_games_nothing_is_played() -> None:
    report = Harness(walks(never_ends)).play(())
    assert (report.turns, report.episodes, report.unused_tickets) == (0, (), ())


@pytest.mark.parametrize("prioritized", [False, True])
def test_the_turn_limit_truncates_and_is_bootstrapped_through(prioritized: bool) -> None:
    harness = Harness(walks(never_ends), max_turns_per_episode=6, n_step=3, prioritize_experiences=prioritized)
    (episode,) = harness.play((1,)).episodes
    assert (episode.turns, episode.truncated, episode.failure) == (6, True, None)
    assert sorted(harness.ends("first")) == [0, 1, 2, 3, 4, 5]
    assert sorted(harness.ends("next")) == [3, 4, 5, 6, 6, 6]
    np.testing.assert_allclose(sorted(harness.column("discounts")), [0.99**3] * 4 + [0.99**2, 0.99], rtol=1e-6)


def test_a_game_that_ends_is_terminated() -> None:
    harness = Harness(walks(ends_after(5)), n_step=3)
    (episode,) = harness.play((1,)).episodes
    assert (episode.turns, episode.truncated) == (5, False)
    by_start = dict(zip(harness.ends("first"), harness.column("discounts"), strict=True))
    assert by_start == pytest.approx({0: 0.99**3, 1: 0.99**3, 2: 0, 3: 0, 4: 0})


def test_an_end_at_the_turn_limit_is_an_end() -> None:
    (episode,) = Harness(walks(ends_after(5)), max_turns_per_episode=5).play((1,)).episodes
    assert (episode.turns, episode.truncated) == (5, False)


def test_an_illegal_move_terminates_with_the_reward_of_its_turn() -> None:
    def script(walker: Walker, game: Game) -> None:
        if game.state["turns"] == 3:
            game.state["score"] += 100
            walker.position = (-1, 0)

    harness = Harness(walks(script), n_step=1)
    (episode,) = harness.play((1,)).episodes
    assert (episode.turns, episode.truncated, episode.failure) == (3, False, None)
    assert harness.column("discounts")[-1] == 0
    assert harness.column("returns")[-1] >= 99


@pytest.mark.parametrize("prioritized", [False, True])
@pytest.mark.parametrize("error", [ZeroDivisionError("no"), SystemExit(3)])
def test_a_game_that_raises_is_truncated_at_its_last_good_turn(prioritized: bool, error: BaseException) -> None:
    harness = Harness(walks(raises_at(4, error)), n_step=2, prioritize_experiences=prioritized)
    report = harness.play((1,))
    (episode,) = report.episodes
    assert (episode.turns, episode.truncated) == (3, True)
    assert episode.failure is not None
    assert type(error).__name__ in episode.failure
    assert (report.turns, report.failures, report.unused_tickets) == (3, (), ())
    assert sorted(zip(harness.ends("first"), harness.ends("next"), strict=True)) == [(0, 2), (1, 3), (2, 3)]
    assert (harness.column("discounts") > 0).all()
    assert episode.total_reward == rewards_earned(harness)


def test_a_game_whose_board_cannot_be_seen_any_more_is_truncated_at_its_last_good_turn() -> None:
    class Breaks(Walker):
        def __init__(self) -> None:
            super().__init__(never_ends)
            self.looks = 0

        @property
        def display(self) -> bool:  # type: ignore[override]
            if getattr(self, "broken", False):
                raise RuntimeError("the light is out")
            return True

        def play_turn(self, game: Game) -> None:
            super().play_turn(game)
            self.broken = game.state["turns"] == 3

    def create_game() -> Game:
        return Game([Breaks()], {"score": 0, "turns": 0}, board_size=METADATA.board_size)

    harness = Harness(create_game)
    (episode,) = harness.play((1,)).episodes
    assert (episode.turns, episode.truncated) == (2, True)
    assert "the light is out" in str(episode.failure)
    assert harness.pushed_turns == 2


@pytest.mark.parametrize("n_games", [1, 2])
def test_a_game_that_raises_before_its_first_turn_gives_the_ticket_back(n_games: int) -> None:
    harness = Harness(walks(raises_at(1, ZeroDivisionError("no"))), n_games=n_games)
    for _ in range(40):
        report = harness.play((1, 2, 3))
        assert sorted(report.unused_tickets) == [1, 2, 3]
        assert (report.episodes, report.turns) == ((), 0)
        assert len(report.failures) == 3
        assert "ZeroDivisionError" in report.failures[0]
    assert harness.blocks == []


def test_a_game_that_cannot_be_built_gives_the_ticket_back_and_the_others_play_on() -> None:
    built = iter([True, False, True, False, True])

    def create_game() -> Game:
        if not next(built):
            raise OSError("no such level")
        return walks(ends_after(3))()

    report = Harness(create_game).play((1, 2, 3, 4, 5))
    # One game at a time: a grant ends when no game could be started.
    assert set(tickets_of(report)) | set(report.unused_tickets) == {1, 2, 3, 4, 5}
    assert 1 in tickets_of(report)
    assert 2 in report.unused_tickets
    assert "no such level" in report.failures[0]


def test_a_board_that_cannot_be_seen_at_the_start_gives_the_ticket_back() -> None:
    class Unseen(Walker):
        @property
        def character(self) -> str:  # type: ignore[override]
            raise RuntimeError("invisible ink")

    harness = Harness(lambda: Game([Unseen(never_ends)], {"score": 0, "turns": 0}, board_size=METADATA.board_size))
    report = harness.play((4,))
    assert report.unused_tickets == (4,)
    assert "invisible ink" in report.failures[0]


def test_a_reward_that_cannot_be_read_is_a_fault_and_the_game_goes_on() -> None:
    def script(walker: Walker, game: Game) -> None:
        if game.state["turns"] == 2:
            game.state["score"] = "lots"
        elif game.state["turns"] == 3:
            game.state["score"] = 5
            game.end()

    harness = Harness(walks(script))
    harness.prefer(len(METADATA.actions))  # standing still, for a step would be added to the score
    report = harness.play((1,), epsilon=0.0)
    (episode,) = report.episodes
    assert (episode.turns, episode.truncated) == (3, False)
    assert episode.total_reward == 5
    assert "'lots'" in report.failures[0]


def test_games_that_take_long_to_build_are_built_over_several_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def build() -> Game:
        nonlocal now
        now += 10
        return walks(never_ends)()

    monkeypatch.setattr(time, "monotonic", lambda: now)
    harness = Harness(build, n_games=3)
    waiting: tuple[int, ...] = (1, 2, 3)
    turns = []
    for _ in range(4):
        report = harness.play(waiting, turns=30, seconds=4)
        waiting = report.unused_tickets
        turns.append((report.turns, len(waiting)))
    assert turns == [(1, 2), (2, 1), (3, 0), (30, 0)]


@pytest.mark.parametrize("prioritized", [False, True])
@pytest.mark.parametrize("n_games", [1, 4])
def test_without_exploration_the_best_action_is_taken(prioritized: bool, n_games: int) -> None:
    harness = Harness(walks(ends_after(30)), n_games=n_games, prioritize_experiences=prioritized)
    harness.play(tuple(range(8)), epsilon=0.0)
    for block in harness.blocks:
        np.testing.assert_array_equal(block.action, harness.q_values(block, block.first).argmax(axis=1))
    assert len(harness.column("action")) == 240


@pytest.mark.parametrize("epsilon", [1.0, 0.4])
def test_exploration_takes_every_action_equally_often(epsilon: float) -> None:
    harness = Harness(walks(never_ends), n_games=4, max_turns_per_episode=2000, n_step=1)
    harness.play((1, 2, 3, 4), epsilon=epsilon)
    best = np.concatenate([harness.q_values(block, block.first).argmax(axis=1) for block in harness.blocks])
    taken = harness.column("action")
    assert len(taken) == 8000
    # The best action is also drawn at random, once in four times.
    assert np.mean(taken == best) == pytest.approx(1 - epsilon * 3 / 4, abs=0.02)
    # Counted from the best one on, the others come equally often.
    shares = np.bincount((taken - best) % 4, minlength=4) / len(taken)
    np.testing.assert_allclose(shares[1:], epsilon / 4, atol=0.02)


@pytest.mark.parametrize("prioritized", [False, True])
def test_once_the_network_has_learned_it_chooses_between_two_random_actions(prioritized: bool) -> None:
    harness = Harness(
        walks(never_ends), n_games=4, max_turns_per_episode=2000, n_step=1, prioritize_experiences=prioritized
    )
    harness.learner.total_updates = 1
    report = harness.play((1, 2, 3, 4), epsilon=1.0)
    ranks = [(-harness.q_values(block, block.first)).argsort(axis=1).argsort(axis=1) for block in harness.blocks]
    taken = np.concatenate(ranks)[np.arange(8000), harness.column("action")]
    np.testing.assert_allclose(np.bincount(taken) / 8000, [7 / 16, 5 / 16, 3 / 16, 1 / 16], atol=0.02)
    assert not report.greedy_choices


@pytest.mark.parametrize(
    ("n_games", "epsilon", "expected"), [(1, 0.5, 0.5), (2, 0.5, (0.5 + 0.125) / 2), (2, 1.0, 1.0)]
)
def test_on_a_ladder_the_games_of_an_actor_explore_less_from_one_to_the_next(
    n_games: int, epsilon: float, expected: float
) -> None:
    harness = Harness(walks(never_ends), n_games=n_games, max_turns_per_episode=2000, n_step=1, epsilon_ladder=2.0)
    harness.play((1, 2, 3, 4), epsilon=epsilon)
    best = np.concatenate([harness.q_values(block, block.first).argmax(axis=1) for block in harness.blocks])
    assert np.mean(harness.column("action") == best) == pytest.approx(1 - expected * 3 / 4, abs=0.02)


def test_priorities_are_the_td_errors_of_the_actors_own_network() -> None:
    harness = Harness(walks(ends_after(9)), n_games=3, prioritize_experiences=True, n_step=2)
    harness.play(tuple(range(9)), epsilon=0.5)
    for block in harness.blocks:
        q, q_next = harness.q_values(block, block.first), harness.q_values(block, block.next).max(axis=1)
        bootstrap = unsquash(q_next) * block.discounts
        target = squash(block.returns + bootstrap)
        taken = q[np.arange(len(block)), block.action]
        assert block.priorities is not None
        np.testing.assert_allclose(block.priorities, np.abs(target - taken), rtol=1e-3, atol=1e-4)


def plays_dice(walker: Walker, game: Game) -> None:
    game.state["score"] += random.randrange(1000)
    if random.random() < 0.1:
        game.end()


def test_with_one_game_an_episode_depends_on_seed_and_ticket_only() -> None:
    def play(tickets: tuple[int, ...], seed: int = 5) -> dict[int, Episode]:
        return {episode.ticket: episode for episode in Harness(walks(plays_dice), seed=seed).play(tickets).episodes}

    all_of_them, last = play((1, 2, 3)), play((3,))
    assert all_of_them[3] == last[3]
    assert all_of_them[1] != dataclasses.replace(all_of_them[2], ticket=1)
    assert play((1, 2, 3)) == all_of_them
    assert play((3,), seed=6)[3] != last[3]


def test_an_episode_that_fails_by_a_chance_of_the_games_own_is_another_when_it_is_given_out_again() -> None:
    def sometimes() -> Game:
        if random.random() < 0.7:
            raise ValueError("no such level")
        return walks(ends_after(3))()

    def play_until_done(harness: Harness) -> tuple[list[Episode], list[int]]:
        played: list[Episode] = []
        tries = []
        for ticket in range(1, 21):
            tries.append(0)
            while len(played) < ticket:
                tries[-1] += 1
                assert tries[-1] < 20, "it fails the same way each time"
                played += harness.play((ticket,)).episodes
        return played, tries

    first, second = (play_until_done(Harness(sometimes, max_turns_per_episode=9)) for _ in range(2))
    assert first == second, "and it is repeatable all the same"
    assert max(first[1]) > 1
    assert [episode.ticket for episode in first[0]] == list(range(1, 21))


def test_games_in_lock_step_are_repeatable_and_differ_by_seed() -> None:
    def play(seed: int) -> tuple[Episode, ...]:
        return Harness(walks(plays_dice), n_games=3, seed=seed).play(tuple(range(10))).episodes

    assert play(1) == play(1)
    assert play(1) != play(2)


def shows(character: str) -> Callable[[], Game]:
    def script(walker: Walker, game: Game) -> None:
        walker.character = character
        if game.state["turns"] == 3:
            game.end()

    return walks(script)


def test_unknown_characters_are_counted_once_and_shown_as_empty() -> None:
    harness = Harness(shows("?"))
    assert harness.play((1,)).unknown_characters == {"?": 2}
    assert harness.play(()).unknown_characters == {}
    assert {int(c) for block in harness.blocks for c in np.unique(block.codes)} == {0, 1}


def test_a_grown_character_set_is_followed_even_without_an_update_between() -> None:
    harness = Harness(shows("?"))
    harness.play((1,))
    harness.learner.extend(("@", "#", "?"))
    harness.blocks.clear()
    assert harness.play((2,)).unknown_characters == {}
    assert {int(c) for block in harness.blocks for c in np.unique(block.codes)} == {0, 1, 3}


def test_new_weights_are_followed_and_reported() -> None:
    harness = Harness(walks(ends_after(5)))
    harness.play((1,))
    harness.prefer(2)
    harness.learner.total_updates = 7
    harness.blocks.clear()
    assert harness.play((2,), epsilon=0.0).version == 7
    assert set(harness.column("action").tolist()) == {2}


def test_blocks_are_pushed_while_a_long_grant_is_played() -> None:
    harness = Harness(walks(ends_after(50)), n_games=2, block_turns=10)
    report = harness.play(tuple(range(10)))
    assert len(harness.blocks) > 10
    assert report.replay_turns == harness.pushed_turns == report.turns == 500
    assert len(harness.column("first")) == 500


def test_greedy_choices_and_the_largest_reward_are_those_of_the_grant() -> None:
    def script(walker: Walker, game: Game) -> None:
        if game.state["turns"] == 3:
            game.state["score"] -= 50
        if game.state["turns"] == 5:
            game.end()

    harness = Harness(walks(script))
    report = harness.play((1, 2), epsilon=0.0)
    taken = harness.column("action").tolist()
    assert report.greedy_choices == {action: taken.count(action) for action in set(taken)}
    assert 49 <= report.largest_reward <= 51
    harness.blocks.clear()
    report = harness.play((3,), turns=2, epsilon=1.0)
    assert report.greedy_choices == {}
    assert report.largest_reward <= 1
    assert harness.play((), turns=0).largest_reward == 0


def test_games_given_up_give_their_tickets_back_and_later_ones_are_whole() -> None:
    harness = Harness(walks(ends_after(7)), n_games=3, n_step=3)
    report = harness.play((1, 2, 3, 4), turns=9)
    assert report.unused_tickets == (4,)
    assert harness.actor.abandon_games() == (1, 2, 3)
    assert harness.actor.abandon_games() == ()
    harness.blocks.clear()
    assert sorted(tickets_of(harness.play((1, 2, 3)))) == [1, 2, 3]
    assert sorted(harness.ends("first")) == sorted([*range(7)] * 3)
