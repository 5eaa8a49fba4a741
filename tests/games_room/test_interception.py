from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retro.agent import ArrowKeyAgent
from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games.loading.capture import Capture, LeavingGameError, interception

after: list[str] = []


def make_game() -> Game:
    return Game([ArrowKeyAgent()], {"score": 0})


def plain() -> None:
    make_game().play()
    after.append("plain")


def swallowed() -> None:
    try:
        make_game().play()
    except:  # noqa: E722
        after.append("handler")
    after.append("swallowed")


def swallowed_for_ever() -> None:
    while True:
        try:
            while True:
                with contextlib.suppress(BaseException):
                    make_game().play()
        except BaseException:
            pass


def tidied_up() -> None:
    try:
        make_game().play()
    finally:
        raise ValueError("what comes after is of no interest")


def stepped_through() -> None:
    game = make_game()
    game.start()
    while game.playing:
        game.step()


def second_of_two() -> None:
    try:
        make_game().play()
    except BaseException:
        Game([], {"second": 1}).play()


@pytest.mark.parametrize("code", [plain, swallowed, swallowed_for_ever, tidied_up, stepped_through, second_of_two])
def test_the_game_is_caught_whatever_stands_around_it(code: Callable[[], None]) -> None:
    after.clear()
    for _ in range(20):
        game = interception.catch(code)
        assert isinstance(game, Game)
        assert dict(game.state) == {"score": 0}
    assert "plain" not in after
    assert "swallowed" not in after
    assert sys.gettrace() is None or "coverage" in sys.modules
    assert not interception.is_on
    assert not interception.is_leaving
    assert not any(t.name.startswith("insist") for t in threading.enumerate())
    assert sys.exc_info() == (None, None, None)


def test_code_that_plays_nothing_returns_what_it_returns() -> None:
    assert interception.catch(lambda: 7) == 7


def test_what_is_raised_before_playing_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        interception.catch(lambda: 1 / 0)
    with pytest.raises(KeyboardInterrupt):
        interception.catch(lambda: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(StopIteration) as raised:
        interception.catch(lambda: next(iter(())))
    assert raised.traceback[-1].path == Path(__file__)


def test_code_can_be_left_for_a_reason_even_if_that_is_swallowed() -> None:
    def ask_for_ever() -> None:
        while True:
            with contextlib.suppress(BaseException):
                interception.leave("it asks for ever")

    with pytest.raises(GameFailedError, match="it asks for ever"):
        interception.catch(ask_for_ever)
    assert interception.catch(lambda: 3) == 3


def test_outside_of_game_code_play_and_step_do_as_ever() -> None:
    played: list[Any] = []

    class Own(Game):
        def play(self, input_source: object = None) -> None:
            played.append(self)

    game = Own([], {})
    game.play()
    assert played == [game]
    assert interception.step_of(game).__func__ is Game.step.__wrapped__  # type: ignore[attr-defined]


def test_a_step_of_the_games_own_is_kept() -> None:
    class Own(Game):
        def step(self) -> str:
            return "own"

    assert interception.step_of(Own([], {}))() == "own"


def test_beats_are_odd_while_a_game_plays_and_never_the_same_again() -> None:
    watched = Capture()
    seen = [watched.beats]
    for _ in range(3):
        watched.enter()
        seen.append(watched.beats)
        watched.exit()
        seen.append(watched.beats)
    assert [beat % 2 for beat in seen] == [0, 1, 0, 1, 0, 1, 0]
    assert seen == sorted(set(seen))


def test_leaving_is_no_exception_that_handlers_of_exceptions_take() -> None:
    assert not issubclass(LeavingGameError, Exception)
