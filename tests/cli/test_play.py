"""What a person sees of ``retro-gamer play``, in a real pseudo-terminal."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from retro_gamer.cli import run
from retro_gamer.cli.commands.play import describe_games
from retro_gamer.cli.display.play_screen import WatchedGame
from tests.cli.terminals import show
from tests.trained_runs import DESCRIPTION, LEFT, NOTHING, WALK, make_trained_run

GAME_OVER = "Game over: 6 after 6 turns"
ENDLESS = WALK.replace("game.end()", "pass")
CATCHES_ALL = ENDLESS.replace(
    "class Wall:",
    "class Wall:\n    def play_turn(self, game):\n        try: [x * x for x in range(10**5)]\n        except: pass\n",
)


def test_a_game_is_watched_to_its_end_and_again(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path, ["ep_0100", "ep_0200"])

    with show("play", str(run_dir), "--framerate", "30", folder=tmp_path, size=(120, 24)) as shown:
        shown.wait_for(GAME_OVER)
        assert "#" in shown.text
        assert "score: 6" in shown.text
        shown.press("a")
        shown.wait_for("score: 3")
        shown.wait_for(GAME_OVER)
        shown.press("\r")
        assert shown.wait() == 0
        shown.wait_for("Watch again: retro-gamer play")
        assert shown.saw_alternate
        assert not shown.emulator.is_alternate
        assert shown.emulator.has_cursor
        assert shown.modes == shown.modes_before
        assert shown.text.count("Game over after 6 turns: score 6 (lives 3)") == 2
        # The note stays on the screen that was there before.
        assert "this is the latest checkpoint, ep_0200" in shown.text


@pytest.mark.parametrize("key", ["\r", "\x1b"])
def test_enter_and_escape_leave_a_game_at_once(tmp_path: Path, key: str) -> None:
    run_dir = make_trained_run(tmp_path, always=NOTHING)

    with show("play", str(run_dir), folder=tmp_path) as shown:
        shown.wait_for("score: 0")
        shown.press("x")
        shown.press(key)
        assert shown.wait() == 0
        shown.wait_for("Quit after")
        assert shown.modes == shown.modes_before


@pytest.mark.parametrize(
    ("number", "game"),
    [(signal.SIGTERM, ENDLESS), (signal.SIGINT, ENDLESS), (signal.SIGTERM, CATCHES_ALL), (signal.SIGHUP, CATCHES_ALL)],
)
def test_a_signal_gives_the_terminal_back(tmp_path: Path, number: signal.Signals, game: str) -> None:
    run_dir = make_trained_run(tmp_path, game=game)

    with show("play", str(run_dir), "--framerate", "200", folder=tmp_path) as shown:
        shown.wait_for("score: 9")
        shown.send(number)
        assert shown.wait() == 128 + number
        shown.wait_until(lambda: not shown.emulator.is_alternate)
        assert shown.saw_alternate
        assert shown.emulator.has_cursor
        assert shown.modes == shown.modes_before


def test_a_game_that_fails_restores_the_terminal_and_names_the_line(tmp_path: Path) -> None:
    failing = WALK.replace("game.end()", "1 / 0")
    run_dir = make_trained_run(tmp_path, game=failing)

    with show("play", str(run_dir), "--framerate", "30", folder=tmp_path, size=(200, 24)) as shown:
        shown.wait_for("score: 5")
        assert shown.wait() == 1
        shown.wait_for("game.py:15: ZeroDivisionError")
        assert not shown.emulator.is_alternate
        assert "Traceback" not in shown.text
        assert shown.modes == shown.modes_before


def test_games_watched_before_one_that_fails_are_reported(tmp_path: Path) -> None:
    failing = WALK.replace("def create_game():", "played = []\n\ndef create_game():\n    played.append(1)")
    failing = failing.replace(
        '        game.state["score"]', '        assert len(played) < 2\n        game.state["score"]'
    )
    run_dir = make_trained_run(tmp_path, game=failing)
    with show("play", str(run_dir), "--framerate", "30", folder=tmp_path, size=(200, 24)) as shown:
        shown.wait_for(GAME_OVER)
        shown.press("a")
        assert shown.wait() == 1
        shown.wait_for("AssertionError")
        assert shown.text.count("Game over after 6 turns: score 6 (lives 3)") == 1
        assert "Watch again: retro-gamer play" in shown.text


def test_what_a_game_prints_stays_off_the_board(tmp_path: Path) -> None:
    noisy = WALK.replace("game.state[", 'print("\\n" * 50, "noise");  game.state[', 1)
    run_dir = make_trained_run(tmp_path, game=noisy)

    with show("play", str(run_dir), "--framerate", "30", folder=tmp_path) as shown:
        shown.wait_for(GAME_OVER)
        assert "noise" not in shown.text
        assert shown.text.count("╔") == 1
        shown.press("\r")
        assert shown.wait() == 0


def test_for_a_small_terminal_the_size_needed_is_shown(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path)

    with show("play", str(run_dir), folder=tmp_path, size=(60, 8)) as shown:
        assert shown.wait() == 1
        shown.wait_until(lambda: "needs 12 columns and 9 rows" in " ".join(shown.emulator.text.split()))
        assert "Traceback" not in shown.text
        assert shown.modes == shown.modes_before


def test_a_window_made_larger_after_the_game_is_drawn_anew(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path)

    with show("play", str(run_dir), "--framerate", "100", folder=tmp_path) as shown:
        shown.wait_for(GAME_OVER)
        shown.resize(100, 30)
        shown.wait_for(GAME_OVER)
        assert "score: 6" in shown.text
        shown.press("\r")
        assert shown.wait() == 0


def test_a_terminal_that_cannot_place_text_is_refused(tmp_path: Path) -> None:
    with show("play", "nowhere", folder=tmp_path, TERM="dumb") as shown:
        assert shown.wait() == 1
        shown.wait_for("TERM=dumb")


def test_a_terminal_that_never_answers_is_played_in_all_the_same(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path)

    with show("play", str(run_dir), "--framerate", "100", folder=tmp_path, answers=False) as shown:
        shown.wait_for(GAME_OVER)
        shown.press("\r")
        assert shown.wait() == 0


def test_without_colours_a_game_is_shown_all_the_same(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path)

    with show("play", str(run_dir), "--framerate", "100", folder=tmp_path, NO_COLOR="1") as shown:
        shown.wait_for(GAME_OVER)
        assert "score: 6" in shown.text
        assert not shown.emulator.colours - {"", "0", "7"}
        shown.press("\r")
        assert shown.wait() == 0


def test_without_a_terminal_nothing_is_played(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["play", "nowhere"]) == 1
    assert "is not a terminal" in capsys.readouterr().err


@pytest.mark.parametrize("framerate", ["0", "-1", "nan", "1e9", "inf"])
def test_an_impossible_framerate_is_refused(framerate: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["play", "nowhere", "--framerate", framerate]) == 2
    assert "--framerate" in capsys.readouterr().err


def test_the_pace_is_the_one_asked_for_and_not_the_games(tmp_path: Path) -> None:
    # The game asks for one turn a second; six turns at 100 a second are over long before its second.
    counting = (
        WALK.replace("lives", "rate")
        .replace("def play_turn", "")
        .replace("        if game.on_board", '        game.state["rate"] = game.framerate\n        if game.on_board')
    )
    run_dir = make_trained_run(tmp_path, game=counting, description=DESCRIPTION.replace("lives", "rate"))

    with show("play", str(run_dir), "--framerate", "100", folder=tmp_path) as shown:
        shown.wait_for(GAME_OVER)
        assert "rate: 1" in shown.text
        shown.press("\r")
        assert shown.wait() == 0


def test_the_summary_shows_scores_and_what_to_type(tmp_path: Path) -> None:
    endings = [
        WatchedGame(turns=1, score=1.5, state={"score": 1.5, "lives": 2, "name": "x"}, is_over=False),
        WatchedGame(turns=20, score="lost", state={"score": "lost"}, is_over=True),
    ]
    assert describe_games(endings, "score", Path("a b"), "ep_0100").splitlines() == [
        "Quit after 1 turn: score 1.5 (lives 2)",
        "Game over after 20 turns: score 'lost'",
        "Watch again: retro-gamer play 'a b' --checkpoint ep_0100",
    ]


def test_many_games_are_not_all_listed() -> None:
    endings = [WatchedGame(turns=turns, score=0, state={"score": 0}, is_over=True) for turns in range(50)]
    lines = describe_games(endings, "score", Path("run"), None).splitlines()
    assert len(lines) == 11
    assert "49 turns" in lines[-2]


def test_a_network_that_prefers_left_plays_left(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path, ["ep_0100"], always=LEFT)

    with show("play", str(run_dir), "--checkpoint", "ep_0100", "--framerate", "30", folder=tmp_path) as shown:
        shown.wait_for("Game over: -5 after 5 turns")
        shown.press("\x1b")
        assert shown.wait() == 0


def test_a_board_that_has_changed_since_is_refused_before_anything_is_shown(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path)
    path = tmp_path / "project" / "game.py"
    path.write_text(path.read_text().replace("board_size=(10, 4)", "board_size=(12, 4)"))
    with show("play", str(run_dir), folder=tmp_path) as shown:
        assert shown.wait() == 1
        shown.wait_for("12 x 4 now")
        assert not shown.saw_alternate
