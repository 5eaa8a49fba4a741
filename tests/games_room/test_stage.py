from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import blessed
import pytest

from retro_gamer.errors import GameFailedError
from retro_gamer.games.loading.capture import interception
from retro_gamer.games.loading.sandbox import Answers, Nowhere, Stage


@contextlib.contextmanager
def on_stage() -> Iterator[Stage]:
    """Stand where a game's code stands."""
    made = Stage("game.py", answers=("one", "two"))
    interception.thread = threading.get_ident()
    made.begin_building()
    interception.enter()
    made.enter()
    try:
        yield made
    finally:
        made.exit()
        interception.exit()
        made.end_building()


def test_questions_are_answered_in_turn_and_then_by_nothing() -> None:
    with on_stage() as stage:
        asked = [input("? "), sys.stdin.readline(), input()]
        stage.answers.begin()
        keys = [blessed.Terminal().inkey(), sys.stdin.read(1), blessed.Terminal().inkey().name]
    assert asked == ["one", "two\n", ""]
    assert keys == ["o", "t", "KEY_ENTER"]


def test_nothing_is_shown_waited_for_or_run(capfd: pytest.CaptureFixture[str]) -> None:
    with on_stage():
        print("hello", flush=True)
        print("oh", file=sys.stderr)
        time.sleep(10_000)
        status = os.system("echo shown; exit 3")
        subprocess.run(["echo", "shown"], check=True)
        kept = subprocess.check_output(["echo", "kept"])
        arguments = sys.argv
    assert (status, kept, arguments) == (0, b"kept\n", ["game.py"])
    assert capfd.readouterr() == ("", "")


def test_threads_of_others_run_programs_as_ever() -> None:
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(os.system("exit 3")))
    with on_stage():
        thread.start()
        thread.join()
    assert statuses != [0]


def test_outside_of_game_code_all_is_as_ever(capfd: pytest.CaptureFixture[str]) -> None:
    Stage("game.py")
    assert os.system("exit 3") != 0
    subprocess.run(["echo", "shown"], check=True)
    assert capfd.readouterr().out == "shown\n"


def test_what_is_asked_without_end_is_left_with_the_last_question() -> None:
    screen = Nowhere()
    answers = Answers(("a",), screen)

    def ask() -> None:
        while True:
            screen.write("Well? ")
            answers.readline()

    with pytest.raises(GameFailedError, match=r"last with 'Well\?', and was given \['a'\]"):
        interception.catch(ask)
    assert answers.n_asked == 102


def test_what_stands_for_the_screen_is_a_text_stream() -> None:
    screen = Nowhere()
    assert (screen.encoding, screen.writable(), screen.isatty(), screen.write("abc\n")) == ("utf-8", True, False, 4)
    with pytest.raises(io.UnsupportedOperation):
        screen.fileno()
