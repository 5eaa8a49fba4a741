from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from retro_gamer.acting.rollout import RolloutBuilder
from retro_gamer.learning.step import squash, unsquash
from retro_gamer.replay.transitions import Block

GAMMA = 0.9
SHAPE = (2, 3, 1)


def board_of(serial: int) -> tuple[np.ndarray, tuple[int, int], float]:
    """Return an observation that no other serial number has."""
    codes = np.array([(serial >> (4 * k)) & 15 for k in range(6)], np.uint8).reshape(2, 3)
    return codes, (serial % 100, serial // 100), float(serial)


def serial_of(codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> int:
    serial = int(state[0])
    expected = board_of(serial)
    assert (codes == expected[0]).all()
    assert tuple(player) == expected[1]
    return serial


@dataclasses.dataclass
class Played:
    """One whole game: the serial numbers of its observations, what was done and earned, and how it ended."""

    serials: list[int]
    actions: list[int] = dataclasses.field(default_factory=list)
    rewards: list[float] = dataclasses.field(default_factory=list)
    terminated: bool = False
    truncated: bool = False


class LockStep:
    """Plays random games in lock step through a builder, and remembers all of it."""

    def __init__(self, *, n_games: int, block_turns: int, n_step: int, with_priorities: bool, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.n_step = n_step
        self.with_priorities = with_priorities
        self.builder = RolloutBuilder(
            n_games=n_games,
            block_turns=block_turns,
            shape=SHAPE,
            n_step=n_step,
            gamma=GAMMA,
            with_priorities=with_priorities,
        )
        self.counter = itertools.count(1)
        self.q: dict[int, tuple[float, float]] = {}
        self.now: list[Played | None] = [None] * n_games
        self.all: list[Played] = []
        self.blocks: list[Block] = []
        self.turns = 0

    def show(self, game: int) -> int:
        serial, row = next(self.counter), self.builder.next_row
        self.builder.codes[row], self.builder.player[row], self.builder.state[row] = board_of(serial)
        self.builder.add_row(game)
        return serial

    def write_q(self, game: int, serial: int) -> None:
        """Write Q-values for the latest row of a game, as the actor does when it acts there or cuts the game short."""
        row = self.builder.trajectories[game].rows[-1]
        best = float(self.random.normal(0, 2))
        taken = best - float(self.random.random())
        self.q[serial] = (taken, best)
        self.builder.q_taken[row], self.builder.q_best[row] = taken, best

    def play_turn(self, game: int) -> None:
        played = self.now[game]
        if played is None:
            played = Played([self.show(game)])
            self.now[game] = played
            self.all.append(played)
        self.write_q(game, played.serials[-1])
        action, reward = int(self.random.integers(0, 5)), float(self.random.integers(-3, 4))
        ends = self.random.random()
        played.terminated, played.truncated = ends < 0.06, 0.06 <= ends < 0.12
        if not played.terminated:
            played.serials.append(self.show(game))
        self.builder.add_turn(game, action, reward)
        played.actions.append(action)
        played.rewards.append(reward)
        self.turns += 1
        if played.terminated or played.truncated:
            if played.truncated:
                self.write_q(game, played.serials[-1])
            self.builder.end_game(game, terminated=played.terminated)
            self.now[game] = None

    def send(self) -> None:
        block = self.builder.make_block()
        if block is not None:
            block.check_valid()
            self.blocks.append(block)

    def play(self, steps: int, chance_of_block: float) -> None:
        for _ in range(steps):
            for game in range(len(self.now)):
                if self.random.random() < 0.9:  # a game may also stand still
                    self.play_turn(game)
            if self.builder.is_full or self.random.random() < chance_of_block:
                self.send()
        self.send()


Transition = tuple[int, int, float, float, int | None]


def expected_transitions(played: Played, n_step: int) -> Iterator[Transition]:
    """Walk each start of a game turn by turn; of a game that goes on, only what is surely known is expected."""
    turns = len(played.rewards)
    over = played.terminated or played.truncated
    for start in range(turns):
        gain, factor, row = 0.0, 1.0, start
        while row < turns and row < start + n_step:
            gain += factor * played.rewards[row]
            factor *= GAMMA
            row += 1
        if not over and start + n_step > turns - 1:
            continue
        ended = played.terminated and row == turns
        reached = None if ended else played.serials[row]
        yield played.serials[start], played.actions[start], round(gain, 4), 0.0 if ended else round(factor, 5), reached


def found_transitions(block: Block) -> Iterator[Transition]:
    for k in range(len(block)):
        i, j = block.first[k], block.next[k]
        discount = round(float(block.discounts[k]), 5)
        reached = serial_of(block.codes[j], block.player[j], block.state[j]) if discount else None
        start = serial_of(block.codes[i], block.player[i], block.state[i])
        yield start, int(block.action[k]), round(float(block.returns[k]), 4), discount, reached


@pytest.mark.parametrize("n_step", [1, 3, 7])
@pytest.mark.parametrize(("n_games", "block_turns"), [(1, 1), (1, 64), (4, 5), (8, 16)])
@pytest.mark.parametrize("chance_of_block", [0.0, 0.3, 1.0])
def test_blocks_hold_each_transition_once_wherever_they_end(
    n_step: int, n_games: int, block_turns: int, chance_of_block: float
) -> None:
    game = LockStep(n_games=n_games, block_turns=block_turns, n_step=n_step, with_priorities=False, seed=n_step)
    game.play(300 // n_games, chance_of_block)
    expected = Counter(itertools.chain.from_iterable(expected_transitions(p, n_step) for p in game.all))
    found = Counter(itertools.chain.from_iterable(found_transitions(block) for block in game.blocks))
    assert len(expected) > 100
    assert found == expected
    assert sum(block.turns for block in game.blocks) == game.turns
    assert all(block.priorities is None for block in game.blocks)


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("chance_of_block", [0.0, 0.4])
def test_priorities_are_td_errors_by_the_values_written(n_step: int, chance_of_block: float) -> None:
    game = LockStep(n_games=3, block_turns=8, n_step=n_step, with_priorities=True, seed=n_step)
    game.play(150, chance_of_block)
    count = 0
    for block in game.blocks:
        assert block.priorities is not None
        for priority, (start, _, gain, discount, reached) in zip(
            block.priorities, found_transitions(block), strict=True
        ):
            bootstrap = float(unsquash(np.array([game.q[reached][1]]))[0]) if reached else 0.0
            target = float(squash(np.array([gain + discount * bootstrap]))[0])
            assert priority == pytest.approx(abs(target - game.q[start][0]), rel=1e-3, abs=1e-3)
            count += 1
    assert count > 200


def test_blocks_are_copies() -> None:
    game = LockStep(n_games=2, block_turns=8, n_step=3, with_priorities=True, seed=0)
    game.play(20, 0.5)
    before = [dataclasses.replace(block, codes=block.codes.copy()) for block in game.blocks]
    game.play(200, 0.1)
    assert all((a.codes == b.codes).all() for a, b in zip(before, game.blocks[: len(before)], strict=True))


def test_a_game_cut_short_right_after_a_block_still_sends_its_last_transitions() -> None:
    game = LockStep(n_games=1, block_turns=8, n_step=3, with_priorities=False, seed=0)
    builder = game.builder
    serials = [game.show(0)]
    for reward in (1.0, 2.0):
        serials.append(game.show(0))
        builder.add_turn(0, 0, reward)
    first = builder.make_block()
    assert first is not None
    assert (len(first), first.turns) == (0, 2)
    builder.end_game(0, terminated=False)
    last = builder.make_block()
    assert last is not None
    assert last.turns == 0
    assert list(found_transitions(last)) == [
        (serials[0], 0, round(1 + GAMMA * 2, 4), round(GAMMA**2, 5), serials[2]),
        (serials[1], 0, 2.0, round(GAMMA, 5), serials[2]),
    ]


def test_games_that_fail_before_their_first_turn_do_not_fill_the_rows() -> None:
    game = LockStep(n_games=2, block_turns=2, n_step=3, with_priorities=False, seed=0)
    for _ in range(100):
        for place in range(2):
            game.show(place)
            game.builder.trajectories[place].clear()
        if game.builder.is_full:
            assert game.builder.make_block() is None
            assert not game.builder.is_full


def test_no_turn_makes_no_block() -> None:
    game = LockStep(n_games=1, block_turns=8, n_step=3, with_priorities=False, seed=0)
    assert game.builder.make_block() is None
    game.show(0)
    assert game.builder.make_block() is None
    assert game.builder.trajectories[0].rows == [0]


@pytest.mark.parametrize("n_step", [1, 100])
def test_it_is_full_before_rows_run_out(n_step: int) -> None:
    game = LockStep(n_games=5, block_turns=1, n_step=n_step, with_priorities=False, seed=1)
    game.play(400, 0.0)
    assert len(game.blocks) > 1
    largest = max(len(block.codes) for block in game.blocks)
    assert largest <= len(game.builder.codes)
