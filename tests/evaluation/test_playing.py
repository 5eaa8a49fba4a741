from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.evaluation.playing import GAMES_AT_A_TIME, SeededGame, choose_randomly, play_games
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.session import GameSession, Turn

METADATA = GameMetadata(actions=("KEY_RIGHT",), reward="score", board_size=(4, 1))
WAIT = 1


class Dice:
    """Draws from both global generators each turn; over at a six."""

    character = "d"
    position = (0, 0)

    def play_turn(self, game: Game) -> None:
        drawn = random.randint(1, 6)
        game.state["score"] += drawn + float(np.random.rand())
        game.state["drawn"] = drawn
        game.state["word"] = "text"
        if drawn == 6:
            game.end()


def make_session() -> GameSession:
    return GameSession(lambda: Game([Dice()], {"score": 0}, board_size=(4, 1)), METADATA)


def wait(games: Sequence[SeededGame]) -> list[int]:
    return [WAIT] * len(games)


def test_a_game_goes_the_same_way_alone_and_beside_others() -> None:
    seeds = list(range(100, 100 + 3 * GAMES_AT_A_TIME))
    together = play_games(make_session, seeds, wait, max_turns=50)
    alone = [play_games(make_session, [seed], wait, max_turns=50)[0] for seed in seeds]
    assert together == alone
    assert [result.seed for result in together] == seeds
    assert len({result.total_reward for result in together}) == len(seeds)


def test_a_game_is_what_its_seed_draws() -> None:
    (result,) = play_games(make_session, [7], wait, max_turns=50)
    drawing, floats = random.Random(7), np.random.RandomState(7)
    expected, turns = 0.0, 0
    while True:
        drawn = drawing.randint(1, 6)
        expected, turns = expected + drawn + float(floats.rand()), turns + 1
        if drawn == 6 or turns == 50:
            break
    assert (result.turns, result.state["drawn"]) == (turns, drawn)
    assert result.total_reward == expected
    assert result.state == {"score": expected, "drawn": drawn}, "texts are no numbers"


def test_a_game_is_cut_short_at_the_limit() -> None:
    results = play_games(make_session, range(20), wait, max_turns=2)
    assert max(result.turns for result in results) == 2
    assert all(result.failure is None for result in results)


class Breaking:
    """Cannot be built for one seed in three, breaks at turn 2 for another."""

    character = "b"
    position = (0, 0)

    def __init__(self) -> None:
        self.kind = random.randrange(3)
        if self.kind == 0:
            raise ValueError("no such level")

    def play_turn(self, game: Game) -> None:
        game.state["score"] += 1
        if self.kind == 1 and game.state["score"] == 2:
            raise KeyError("lost")


def test_games_that_fail_end_and_the_others_continue() -> None:
    def make() -> GameSession:
        return GameSession(lambda: Game([Breaking()], {"score": 0}, board_size=(4, 1)), METADATA)

    for result in play_games(make, range(30), wait, max_turns=5):
        kind = random.Random(result.seed).randrange(3)
        assert (result.turns, result.total_reward) == {0: (0, 0), 1: (1, 1), 2: (5, 5)}[kind]
        assert ("no such level" in (result.failure or "")) is (kind == 0)
        assert ("lost" in (result.failure or "")) is (kind == 1)
        assert result.was_played is (kind != 0)


def test_random_play_takes_every_action_and_the_same_for_a_seed() -> None:
    games = [SeededGame(make_session, seed) for seed in range(200)]
    chosen = choose_randomly(games)
    assert set(chosen) == {0, 1}
    assert chosen == choose_randomly([SeededGame(make_session, seed) for seed in range(200)])


class Coin:
    """Tossed after the key, which is a guess: a point for a right one."""

    character = "c"
    position = (0, 0)
    guessed = WAIT

    def handle_keystroke(self, keystroke: object, game: Game) -> None:
        self.guessed = 0

    def play_turn(self, game: Game) -> None:
        game.state["score"] += self.guessed == random.randrange(2)
        self.guessed = WAIT


def test_random_play_knows_nothing_of_what_the_game_is_about_to_draw() -> None:
    def make() -> GameSession:
        return GameSession(lambda: Game([Coin()], {"score": 0}, board_size=(4, 1)), METADATA)

    results = play_games(make, range(20), choose_randomly, max_turns=50)
    assert 0.4 < sum(result.total_reward for result in results) / 1000 < 0.6


def test_what_a_game_draws_while_it_is_loaded_comes_of_its_seed() -> None:
    def make() -> GameSession:
        start = random.randrange(1000)  # as a module does at its top
        return GameSession(lambda: Game([Dice()], {"score": 0, "start": start}, board_size=(4, 1)), METADATA)

    seeds = list(range(40))
    together = play_games(make, seeds, wait, max_turns=3)
    assert together == [play_games(make, [seed], wait, max_turns=3)[0] for seed in seeds]
    assert len({result.state["start"] for result in together}) > 20


class Shared(GameSession):
    """A session of a game of which a process should play one at a time."""

    playing = 0
    most = 0

    @property
    def sharing(self) -> str:
        return "it is the only one"

    def start(self) -> None:
        super().start()
        Shared.playing += 1
        Shared.most = max(Shared.most, Shared.playing)

    def step(self, action_index: int) -> Turn:
        turn = super().step(action_index)
        Shared.playing -= self.is_over
        return turn


def test_games_that_would_share_what_they_should_not_are_played_one_at_a_time() -> None:
    def make() -> Shared:
        return Shared(lambda: Game([Dice()], {"score": 0}, board_size=(4, 1)), METADATA)

    seeds = list(range(40))
    assert play_games(make, seeds, wait, max_turns=1000) == play_games(make_session, seeds, wait, max_turns=1000)
    assert (Shared.most, Shared.playing) == (1, 0)


def test_a_game_that_cannot_be_observed_ends_and_the_others_continue() -> None:
    def look(games: Sequence[SeededGame]) -> list[int]:
        if any(game.turns == 2 and game.seed == 5 for game in games):
            raise GameFailedError("no character")
        return wait(games)

    usual = play_games(make_session, range(20), wait, max_turns=9)
    results = play_games(make_session, range(20), look, max_turns=9)
    assert [result for result in results if result.seed != 5] == [result for result in usual if result.seed != 5]
    assert (results[5].turns, results[5].failure, results[5].was_played) == (2, "no character", True)
