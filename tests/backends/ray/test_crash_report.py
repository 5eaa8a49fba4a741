from __future__ import annotations

import threading
from pathlib import Path

import pytest
import retro

from retro_gamer.backends.ray.actor_process import CrashReport, describe_crash, remove_crash_reports

FRAMEWORK = Path(next(iter(retro.__path__))) / "game.py"
CRASH = f"""Fatal Python error: Segmentation fault

Current thread 0x00007f (most recent call first):
  File "{threading.__file__}", line 629 in wait
  File "/home/me/my game/level\x1b[2J.py", line 12 in play_turn
  File "{FRAMEWORK}", line 150 in step
  File "/home/me/my game/main.py", line 3 in play
"""


def test_the_innermost_line_of_the_game_is_named() -> None:
    assert describe_crash(CRASH) == r"level\x1b[2J.py:12: Segmentation fault"


def test_a_timeout_says_what_it_was() -> None:
    text = "Timeout (0:00:03)!\nThread 0x01 (most recent call first):\n" + CRASH.split("first):\n")[1]
    assert describe_crash(text) == r"level\x1b[2J.py:12: it did not return in time (hang_seconds)"


@pytest.mark.parametrize("text", ["", "nothing of interest\n", "Thread 0x01 (most recent call first):\n"])
def test_where_nothing_is_said_nothing_is_made_up(text: str) -> None:
    assert describe_crash(text) is None


def test_words_are_taken_once(tmp_path: Path) -> None:
    words = CrashReport(tmp_path.name, 3)
    assert words.take() is None
    with words.open() as file:
        file.write("Fatal Python error: Bus error\n")
    with pytest.raises(FileExistsError):
        words.open()
    assert words.take() == "Bus error"
    assert not words.path.exists()


def test_at_the_end_of_a_run_its_own_leftovers_go_and_no_others(tmp_path: Path) -> None:
    mine, other = (CrashReport(f"{tmp_path.name}{letter}", 1) for letter in "ab")
    late = CrashReport(f"{tmp_path.name}a", 12)
    for words in (mine, other, late):
        words.open().close()
    remove_crash_reports(f"{tmp_path.name}a")
    assert [words.path.exists() for words in (mine, late, other)] == [False, False, True]
    remove_crash_reports(f"{tmp_path.name}b")
    assert not other.path.exists()
