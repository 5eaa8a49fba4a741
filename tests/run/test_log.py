from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retro_gamer.run.log import HEADER_WIDTH, EpisodeLine, TrainingLog, format_episode, wrap_lines


def _episode(number: int) -> EpisodeLine:
    return EpisodeLine(episode=number, total_reward=number / 2, steps=10 * number, epsilon=0.5, avg_loss=0.25)


def _log(tmp_path: Path, episodes: int) -> TrainingLog:
    log = TrainingLog(tmp_path / "training.log")
    log.write_header("A network of two layers.\nBecause the board is small.")
    for number in range(1, episodes + 1):
        log.write_episode(_episode(number))
    return log


def test_the_header_comes_first_and_then_a_line_for_each_episode(tmp_path: Path) -> None:
    with contextlib.closing(_log(tmp_path, 2)) as log:
        assert log.path.read_text().splitlines() == [
            "A network of two layers.",
            "Because the board is small.",
            "[EP 0001] total_reward=0.5 steps=10 epsilon=0.5 avg_loss=0.25",
            "[EP 0002] total_reward=1.0 steps=20 epsilon=0.5 avg_loss=0.25",
        ]
        assert log.read_episodes() == [_episode(1), _episode(2)]


def test_without_a_file_there_are_no_episodes(tmp_path: Path) -> None:
    assert TrainingLog(tmp_path / "training.log").read_episodes() == []


def test_a_header_starts_afresh_and_saves_what_was_there(tmp_path: Path) -> None:
    _log(tmp_path, 3).close()
    whole = (tmp_path / "training.log").read_bytes()
    with contextlib.closing(_log(tmp_path, 1)) as log:
        assert log.read_episodes() == [_episode(1)]
    assert (tmp_path / "training.log.1").read_bytes() == whole


def test_notes_are_no_episodes_whatever_they_say(tmp_path: Path) -> None:
    with contextlib.closing(_log(tmp_path, 1)) as log:
        log.write_remark(f"the game said:\n{format_episode(_episode(9))}\n\x1b[2J\rx\u202e")
        log.write_episode(_episode(2))
        assert log.read_episodes() == [_episode(1), _episode(2)]
        lines = log.path.read_text().split("\n")
    assert lines[3:6] == ["# the game said:", f"# {format_episode(_episode(9))}", r"# \x1b[2J\rx\u202e"]


def test_a_header_is_no_episode_whatever_it_says(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "training.log")
    log.write_header(f"{format_episode(_episode(9))}\n\x1b[31mred")
    assert log.read_episodes() == []
    assert log.path.read_text() == f"# {format_episode(_episode(9))}\n\\x1b[31mred\n"


def test_a_header_is_wrapped_with_its_indent(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "training.log")
    log.write_header("Why\n  " + "because " * 30 + "\nshort")
    lines = log.path.read_text().splitlines()
    assert lines[0] == "Why"
    assert lines[-1] == "short"
    assert max(map(len, lines)) <= HEADER_WIDTH
    assert [len(line) - len(line.lstrip()) for line in lines[1:-1]] == [2, 4, 4]
    assert " ".join(lines[1:-1]).split() == ["because"] * 30


@pytest.mark.parametrize(
    ("text", "wrapped"),
    [
        ("abc def", "abc def"),
        ("one two three four five six seven", "one two three four\n  five six seven"),
        ("    deep words stay where there is no room", "    deep words stay where there is no room"),
        ("a" * 50, "a" * 50),
        ("", ""),
    ],
)
def test_lines_are_wrapped_between_words(text: str, wrapped: str) -> None:
    assert wrap_lines(text, 22) == wrapped


def test_each_line_can_be_read_at_once(tmp_path: Path) -> None:
    with contextlib.closing(_log(tmp_path, 0)) as log:
        for number in range(1, 20):
            log.write_episode(_episode(number))
            assert TrainingLog(log.path).read_episodes()[-1] == _episode(number)


@pytest.mark.parametrize(
    "torn", ["[EP 0003] total_rew", "[EP 0003] total_reward=1.5 steps=30 epsilon=0.5 avg_loss=0.2"]
)
def test_a_torn_last_line_is_not_read_and_gives_way(tmp_path: Path, torn: str) -> None:
    _log(tmp_path, 2).close()
    path = tmp_path / "training.log"
    with path.open("a") as file:
        file.write(torn)
    assert TrainingLog(path).read_episodes() == [_episode(1), _episode(2)]
    with contextlib.closing(TrainingLog(path)) as log:
        log.write_episode(_episode(3))
    assert TrainingLog(path).read_episodes() == [_episode(1), _episode(2), _episode(3)]
    assert torn + "\n" not in path.read_text()


def test_a_log_that_goes_on_is_not_truncated(tmp_path: Path) -> None:
    _log(tmp_path, 2).close()
    before = (tmp_path / "training.log").read_bytes()
    with contextlib.closing(TrainingLog(tmp_path / "training.log")) as log:
        log.write_episode(_episode(3))
    assert (tmp_path / "training.log").read_bytes().startswith(before)


def test_rewinding_drops_later_episodes_saves_the_whole_and_says_so(tmp_path: Path) -> None:
    with contextlib.closing(_log(tmp_path, 3)) as log:
        log.write_remark("a remark")
        log.write_episode(_episode(4))
        whole = log.path.read_bytes()
        saved = log.rewind(2)
        assert saved == tmp_path / "training.log.1"
        assert saved.read_bytes() == whole
        lines = log.path.read_text().splitlines()
        assert lines[:4] == [*whole.decode().splitlines()[:2], *map(format_episode, [_episode(1), _episode(2)])]
        assert lines[4] == "# a remark"
        assert "episode 2" in lines[5]
        assert "training.log.1" in lines[5]
        log.write_episode(_episode(3))
        assert log.read_episodes() == [_episode(1), _episode(2), _episode(3)]


def test_rewinding_again_saves_under_the_next_number(tmp_path: Path) -> None:
    log = _log(tmp_path, 5)
    (tmp_path / "training.log.1").write_text("older")
    assert [log.rewind(episode).name for episode in (4, 3, 3, 0)] == [f"training.log.{n}" for n in (2, 3, 4, 5)]
    assert log.read_episodes() == []
    assert (tmp_path / "training.log.1").read_text() == "older"


def test_rewinding_leaves_a_torn_line_behind(tmp_path: Path) -> None:
    log = _log(tmp_path, 2)
    log.close()
    with log.path.open("a") as file:
        file.write("[EP 00")
    log.rewind(2)
    assert "[EP 00\n" not in log.path.read_text()
    log.write_episode(_episode(3))
    assert log.read_episodes() == [_episode(1), _episode(2), _episode(3)]
    log.close()


def test_rewinding_without_a_log_makes_one(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "training.log")
    log.rewind(5)
    assert log.read_episodes() == []
    assert "episode 5" in log.path.read_text()


def test_a_failed_rewind_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = _log(tmp_path, 3)
    before = log.path.read_bytes()

    def fail(old: Path, new: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        log.rewind(1)
    assert log.path.read_bytes() == before
    assert os.listdir(tmp_path) == ["training.log"]


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    log = _log(tmp_path, 2)
    log.close()
    with log.path.open("ab") as file:
        file.write(b"# caf\xe9\r\n")
    log.write_episode(_episode(3))
    log.rewind(3)
    assert b"# caf\xe9\r\n" in log.path.read_bytes()
    assert len(log.read_episodes()) == 3


_WRITER = """
import sys
from pathlib import Path
from retro_gamer.run.log import TrainingLog
from retro_gamer.run.log import EpisodeLine
log = TrainingLog(Path(sys.argv[1]))
for n in range(1, 51):
    log.write_episode(EpisodeLine(episode=n, total_reward=0.0, steps=1, epsilon=1.0, avg_loss=0.0))
print("written", flush=True)
sys.stdin.read()
"""


def test_a_killed_writer_loses_no_line(tmp_path: Path) -> None:
    path = tmp_path / "training.log"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        writer.kill()
    assert [line.episode for line in TrainingLog(path).read_episodes()] == list(range(1, 51))
