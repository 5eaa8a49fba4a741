from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retro.agent import ArrowKeyAgent
from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games import session
from retro_gamer.games.loading import capture as capture_module
from retro_gamer.games.loading.capture import LeavingGameError, capture

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


def swallowed_always() -> None:
    while True:
        try:
            while True:
                with contextlib.suppress(BaseException):
                    make_game().play()
        except BaseException:
            pass


def cleaned_up() -> None:
    try:
        make_game().play()
    finally:
        raise ValueError("errors after playing do not matter")


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


@pytest.mark.parametrize("code", [plain, swallowed, swallowed_always, cleaned_up, stepped_through, second_of_two])
def test_the_game_is_captured_whatever_code_surrounds_it(code: Callable[[], None]) -> None:
    after.clear()
    for _ in range(20):
        game = capture.catch(code)
        assert isinstance(game, Game)
        assert dict(game.state) == {"score": 0}
    assert "plain" not in after
    assert "swallowed" not in after
    assert sys.gettrace() is None or "coverage" in sys.modules
    assert not capture.is_on
    assert not capture.is_leaving
    assert not any(t.name.startswith("insist") for t in threading.enumerate())
    assert sys.exc_info() == (None, None, None)


def test_code_that_plays_nothing_returns_what_it_returns() -> None:
    assert capture.catch(lambda: 7) == 7


def test_what_is_raised_before_playing_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        capture.catch(lambda: 1 / 0)
    with pytest.raises(KeyboardInterrupt):
        capture.catch(lambda: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(StopIteration) as raised:
        capture.catch(lambda: next(iter(())))
    assert raised.traceback[-1].path == Path(__file__)


def test_code_can_be_left_for_a_reason_even_if_that_is_swallowed() -> None:
    def ask_without_end() -> None:
        while True:
            with contextlib.suppress(BaseException):
                capture.leave("it asks without end")

    with pytest.raises(GameFailedError, match="it asks without end"):
        capture.catch(ask_without_end)
    assert capture.catch(lambda: 3) == 3


def test_outside_of_game_code_play_and_step_work_as_before() -> None:
    played: list[Any] = []

    class Own(Game):
        def play(self, input_source: object = None) -> None:
            played.append(self)

    game = Own([], {})
    game.play()
    assert played == [game]
    assert capture.step_of(game).__func__ is Game.step.__wrapped__  # type: ignore[attr-defined]


def test_a_game_keeps_a_step_method_of_its_own() -> None:
    class Own(Game):
        def step(self) -> str:
            return "own"

    assert capture.step_of(Own([], {}))() == "own"


def test_handlers_of_exceptions_do_not_catch_leaving() -> None:
    assert not issubclass(LeavingGameError, Exception)


def test_the_modules_that_capture_names_exist_and_call_the_games_code() -> None:
    for name in capture_module._CALLERS:
        source = Path(str(importlib.import_module(name).__file__)).read_text()
        assert "call()" in source or "self._step()" in source, f"{name} does not call a game's code"
    assert (capture_module.__name__, session.__name__) == capture_module._CALLERS
    assert capture_module.__name__.startswith(capture_module._OURS)
