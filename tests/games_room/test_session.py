from __future__ import annotations

import contextlib
import itertools
import math
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from retro.agent import ArrowKeyAgent
from retro.game import Game
from retro.input import ProgrammaticInput
from retro.views.headless import HeadlessView

from retro_gamer.errors import GameFailedError
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.capture import capture
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.session import GameSession, Turn

RIGHT, LEFT, NOTHING = 0, 1, 2
METADATA = GameMetadata(actions=("KEY_RIGHT", "KEY_LEFT"), reward="score")


class Script:
    """A hidden agent that runs the next piece of a script each turn."""

    display = False

    def __init__(self, *pieces: Callable[[Game], object]) -> None:
        self.pieces: Iterator[Callable[[Game], object]] = itertools.chain(pieces, itertools.repeat(lambda game: None))

    def play_turn(self, game: Game) -> None:
        next(self.pieces)(game)


def scripted(*pieces: Callable[[Game], object], state: dict[str, Any] | None = None) -> GameSession:
    session = GameSession(lambda: Game([Script(*pieces)], {"score": 0} if state is None else state), METADATA)
    session.start()
    return session


def put(value: Any) -> Callable[[Game], object]:
    return lambda game: game.state.__setitem__("score", value)


def test_a_turn_presses_the_key_of_its_action(walk: Callable[[], Game], walk_metadata: GameMetadata) -> None:
    session = GameSession(walk, walk_metadata)
    session.start()
    rewards = [session.step(action).reward for action in (RIGHT, RIGHT, NOTHING, LEFT)]
    assert rewards == [1, 1, 0, -1]
    assert session.game.agents[0].position == (1, 0)
    assert session.turns == 4
    assert not session.is_over


def test_the_reward_is_the_change_of_the_state_as_a_naive_player_sees_it() -> None:
    source = find_source("retro.examples.snake")
    factory, metadata = load_factory(source), GameMetadata.from_pyproject("retro.examples.snake")
    session = GameSession(factory, metadata)
    rng = random.Random(3)
    for seed in range(20):
        actions = [rng.randrange(5) for _ in range(60)]
        session.seed(seed)
        session.start()
        turns: list[Turn] = []
        while not session.is_over and len(turns) < 60:
            turns.append(session.step(actions[len(turns)]))
        random.seed(seed)
        game = factory()
        expected: list[Turn] = []
        game.input_source = ProgrammaticInput()
        game.start()
        while game.playing and len(expected) < 60:
            before = game.state["score"]
            game.input_source.press(metadata.key_of(actions[len(expected)]))
            game.step()
            expected.append(Turn(reward=game.state["score"] - before, terminated=not game.playing, failure=None))
        assert turns == expected


def test_the_end_of_a_game_is_its_termination() -> None:
    session = scripted(put(5), lambda game: game.end())
    assert session.step(NOTHING) == Turn(reward=5, terminated=False, failure=None)
    assert session.step(NOTHING) == Turn(reward=0, terminated=True, failure=None)
    assert session.is_over
    with pytest.raises(ValueError, match="call start"):
        session.step(NOTHING)
    session.start()
    assert (session.is_over, session.turns) == (False, 0)


@pytest.mark.parametrize("is_swallowed", [False, True])
def test_a_turn_that_plays_another_game_is_the_last(is_swallowed: bool) -> None:
    def play_again(game: Game) -> None:
        with contextlib.suppress(BaseException if is_swallowed else OSError):
            Game([], {}).play()

    session = scripted(play_again)
    assert session.step(NOTHING) == Turn(reward=0, terminated=True, failure=None)
    assert not capture.is_leaving
    assert not capture.is_on


def test_a_reward_of_the_last_turn_counts() -> None:
    session = scripted(lambda game: (put(-10)(game), game.end()))
    assert session.step(NOTHING) == Turn(reward=-10, terminated=True, failure=None)


def test_an_illegal_move_ends_the_game() -> None:
    agent = ArrowKeyAgent()
    agent.try_to_move = lambda position, game: setattr(agent, "position", position)
    session = GameSession(lambda: Game([agent], {"score": 0}, board_size=(2, 2)), METADATA)
    session.start()
    assert not session.step(RIGHT).terminated
    assert not session.ended_illegally
    assert session.step(RIGHT) == Turn(reward=0, terminated=True, failure=None)
    assert session.ended_illegally
    assert session.is_over


@pytest.mark.parametrize("value", ["ten", None, math.nan, math.inf, 10**400, 1e31, (1,)])
def test_a_reward_that_cannot_be_read_counts_as_unchanged(value: Any) -> None:
    session = scripted(put(3), put(value), put(value), put(10))
    turns = [session.step(NOTHING) for _ in range(4)]
    assert [turn.reward for turn in turns] == [3, 0, 0, 7]
    assert turns[1].failure is not None
    assert "'score' is" in turns[1].failure
    assert "turn 2" in turns[1].failure
    assert (turns[0].failure, turns[3].failure) == (None, None)


def test_a_missing_reward_key_is_reported() -> None:
    session = scripted(lambda game: game.state.pop("score"), put(2))
    assert "missing" in str(session.step(NOTHING).failure)
    assert session.step(NOTHING) == Turn(reward=2, terminated=False, failure=None)


@pytest.mark.parametrize(("value", "reward"), [(True, 1.0), (np.int64(4), 4.0), (np.float32(0.5), 0.5), (-2, -2.0)])
def test_numbers_of_every_kind_are_rewards(value: Any, reward: float) -> None:
    turn = scripted(put(value)).step(NOTHING)
    assert (turn.reward, turn.failure, type(turn.reward)) == (reward, None, float)


@pytest.mark.parametrize("code", [None, 0, "You lose."])
def test_a_game_that_leaves_python_without_an_error_number_is_over(code: object) -> None:
    def leave_well(game: Game) -> None:
        game.state["score"] += 5
        sys.exit(code)  # type: ignore[arg-type]

    session = scripted(put(1), leave_well)
    session.step(NOTHING)
    assert session.step(NOTHING) == Turn(reward=5, terminated=True, failure=None)
    assert session.is_over


def boom(game: Game) -> None:
    raise OSError("disk \x1b[2J full")


def leave(game: Game) -> None:
    raise SystemExit(2)


def spoil(game: Game) -> None:
    game.state = None


def clash(game: Game) -> None:
    for _ in range(2):
        game.add_agent(ArrowKeyAgent())


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (boom, "OSError: disk \\x1b[2J full"),
        (leave, "SystemExit: 2"),
        (spoil, "AttributeError"),
        (clash, "part of retro-games"),
        (lambda game: max([]), "ValueError: max()"),
        (lambda game: (_ for _ in ()).throw(RecursionError("deep")), "RecursionError: deep"),
    ],
)
def test_any_failure_of_the_game_is_one_error_with_its_turn(fault: Callable[[Game], object], text: str) -> None:
    session = scripted(put(1), fault)
    session.step(NOTHING)
    with pytest.raises(GameFailedError) as raised:
        session.step(NOTHING)
    assert "failed at turn 2: " in str(raised.value)
    assert text in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert session.is_over
    session.start()
    assert session.step(NOTHING).reward == 1


def test_an_interrupt_is_not_the_games_fault() -> None:
    def interrupt(game: Game) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scripted(interrupt).step(NOTHING)


ONLY_GAME = Game([], {"score": 0})


@pytest.mark.parametrize(
    ("factory", "text"),
    [
        (lambda: None, "returned None, which is not a Game"),
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: Game([ArrowKeyAgent()], {}, board_size=(0, 0)), "IllegalMove"),
        (lambda: sys.exit(1), "SystemExit: 1"),
    ],
)
def test_a_game_that_cannot_be_built_is_one_error(factory: Callable[[], Game], text: str) -> None:
    session = GameSession(factory, METADATA)
    with pytest.raises(GameFailedError) as raised:
        session.start()
    assert text in str(raised.value)
    assert session.is_over


def test_a_factory_must_build_a_new_game_each_time() -> None:
    session = GameSession(lambda: ONLY_GAME, METADATA)
    session.start()
    with pytest.raises(GameFailedError, match="same Game twice"):
        session.start()
    with pytest.raises(ValueError, match="call start"):
        session.step(NOTHING)


def test_no_view_is_drawn_and_the_games_own_input_is_not_asked() -> None:
    view = HeadlessView()

    def build() -> Game:
        return Game([Script(put(1))], {"score": 0}, view=view, input_source=None)

    session = GameSession(build, METADATA)
    session.start()
    session.step(RIGHT)
    assert view.board_characters == []
    assert isinstance(session.game.input_source, ProgrammaticInput)


def test_pressing_through_the_framework_still_works(walk: Callable[[], Game], walk_metadata: GameMetadata) -> None:
    session = GameSession(walk, walk_metadata)
    session.start()
    session.game.input_source.press("KEY_RIGHT")
    session.game.step()
    assert session.game.state["score"] == 1


def test_log_messages_do_not_grow_without_end() -> None:
    def talk(game: Game) -> None:
        for _ in range(7):
            game.log("hello")

    session = scripted(*[talk] * 400)
    for _ in range(400):
        session.step(NOTHING)
    assert len(session.game.log_messages) <= 207
    assert session.game.log_messages[-1] == (400, "hello")


@pytest.mark.parametrize("action", [-1, 3])
def test_there_are_no_other_actions(action: int) -> None:
    with pytest.raises(ValueError, match=r"outside 0\.\.2"):
        scripted().step(action)


def test_a_seed_repeats_a_game_and_only_the_next_one() -> None:
    def build() -> Game:
        return Game([], {"score": random.random(), "other": float(np.random.random())})

    session = GameSession(build, METADATA)
    states = []
    for seed in (7, None, 7, 2**40):
        if seed is not None:
            session.seed(seed)
        session.start()
        states.append(dict(session.game.state))
    assert states[0] == states[2]
    assert states[1] not in (states[0], states[3])


def test_arrow_keys_are_not_letters() -> None:
    pressed: list[bool] = []

    class Typist:
        display = False

        def handle_keystroke(self, keystroke: Any, game: Game) -> None:
            pressed.append(keystroke in "wasd")

    session = GameSession(lambda: Game([Typist()], {"score": 0}), METADATA)
    session.start()
    session.step(RIGHT)
    assert pressed == [False]
