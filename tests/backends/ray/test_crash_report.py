from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import retro

from retro_gamer.backends.ray.actor_process import CrashReport, describe_crash

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


def test_a_report_is_taken_once(tmp_path: Path) -> None:
    report = CrashReport(str(tmp_path), 3)
    assert report.take() is None
    with report.open() as file:
        file.write(b"Fatal Python error: Bus error\n")
    assert report.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        report.open()
    assert report.take() == "Bus error"
    assert not report.path.exists()


def test_without_the_folder_of_the_trainer_a_report_leaves_no_file(tmp_path: Path) -> None:
    report = CrashReport(str(tmp_path / "elsewhere"), 1)
    with report.open() as file:
        file.write(b"Fatal Python error: Bus error\n")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "link").symlink_to(tmp_path)
    CrashReport(str(tmp_path / "link"), 1).open().close()
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_what_is_no_report_is_neither_waited_for_nor_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.txt")
    (tmp_path / "secret").write_text("Fatal Python error: of another program\n")
    (tmp_path / "2.txt").symlink_to(tmp_path / "secret")
    assert [CrashReport(str(tmp_path), number).take() for number in (1, 2)] == [None, None]


def test_of_a_huge_report_only_the_beginning_is_read(tmp_path: Path) -> None:
    with open(tmp_path / "1.txt", "wb") as file:
        file.write(b"Fatal Python error: Bus error\n")
        file.truncate(10**12)
    assert CrashReport(str(tmp_path), 1).take() == "Bus error"
