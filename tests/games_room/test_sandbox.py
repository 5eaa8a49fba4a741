from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import blessed
import pytest
from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games.loading import sandbox
from retro_gamer.games.loading.capture import DiscardedOutput, ScriptedInput, capture
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.sandbox import (
    NullSandbox,
    Sandbox,
    TemporaryFolder,
    make_locked_folder,
    remove_abandoned_folders,
    temporary_folder_of,
)
from retro_gamer.games.loading.watchdog import heartbeat


@contextlib.contextmanager
def in_sandbox() -> Iterator[Sandbox]:
    """Enter a sandbox as the code that builds a game does."""
    sandbox = Sandbox("game.py", answers=("one", "two"))
    capture.thread = threading.get_ident()
    with sandbox.building():
        yield sandbox


@pytest.mark.parametrize("sandbox", [NullSandbox(), Sandbox("game.py")])
def test_the_heartbeat_is_odd_in_a_sandbox_and_never_the_same_again(sandbox: NullSandbox) -> None:
    beats = [heartbeat.beats]
    for _ in range(3):
        sandbox.enter()
        beats.append(heartbeat.beats)
        assert capture.is_on
        assert sandbox.exit() is False
        beats.append(heartbeat.beats)
        assert not capture.is_on
    assert [beat % 2 for beat in beats] == [0, 1, 0, 1, 0, 1, 0]
    assert beats == sorted(set(beats))


@pytest.mark.parametrize("sandbox", [NullSandbox(), Sandbox("game.py")])
def test_a_sandbox_builds_the_game_that_its_code_would_play(sandbox: NullSandbox) -> None:
    streams = (sys.stdin, sys.stdout, sys.stderr, sys.argv, sys.modules["__main__"])
    game = Game([], {})
    assert sandbox.build(game.play) is game
    assert sandbox.build(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        sandbox.build(lambda: 1 / 0)
    assert (sys.stdin, sys.stdout, sys.stderr, sys.argv, sys.modules["__main__"]) == streams
    assert not capture.is_on


def test_questions_get_the_answers_in_turn_and_then_empty_lines() -> None:
    with in_sandbox() as sandbox:
        asked = [input("? "), sys.stdin.readline(), input()]
        sandbox.input.restart()
        keys = [blessed.Terminal().inkey(), sys.stdin.read(1), blessed.Terminal().inkey().name]
    assert asked == ["one", "two\n", ""]
    assert keys == ["o", "t", "KEY_ENTER"]


def test_nothing_is_printed_waited_for_or_run(capfd: pytest.CaptureFixture[str]) -> None:
    with in_sandbox():
        print("hello", flush=True)
        print("oh", file=sys.stderr)
        time.sleep(10_000)
        status = os.system("echo shown; exit 3")
        subprocess.run(["echo", "shown"], check=True)
        kept = subprocess.check_output(["echo", "kept"])
        arguments = sys.argv
    assert (status, kept, arguments) == (0, b"kept\n", ["game.py"])
    assert capfd.readouterr() == ("", "")


def test_other_threads_run_programs_as_before() -> None:
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(os.system("exit 3")))
    with in_sandbox():
        thread.start()
        thread.join()
    assert statuses != [0]


def test_outside_of_game_code_nothing_changes(capfd: pytest.CaptureFixture[str]) -> None:
    Sandbox("game.py")
    assert os.system("exit 3") != 0
    subprocess.run(["echo", "shown"], check=True)
    assert capfd.readouterr().out == "shown\n"


def test_a_game_that_asks_without_end_is_left_with_its_last_question() -> None:
    output = DiscardedOutput()
    answers = ScriptedInput(("a",), output)

    def ask() -> None:
        while True:
            output.write("Well? ")
            answers.readline()

    with pytest.raises(GameFailedError, match=r"last with 'Well\?', and was given \['a'\]"):
        capture.catch(ask)
    assert answers.n_asked == 102


def test_the_discarded_output_is_a_text_stream() -> None:
    output = DiscardedOutput()
    assert (output.encoding, output.writable(), output.isatty(), output.write("abc\n")) == ("utf-8", True, False, 4)
    with pytest.raises(io.UnsupportedOperation):
        output.fileno()


Project = Callable[[dict[str, str]], Path]


def test_the_files_beside_the_game_are_copied_but_not_all_kinds(make_project: Project) -> None:
    folder = make_project(
        {
            "levels/one.txt": "###",
            "game.py": "",
            ".git/config": "x",
            "venv/pyvenv.cfg": "",
            "venv/lib.txt": "x",
            "__pycache__/game.pyc": "x",
            "checkpoints/final.pt": "x",
        }
    )
    copy = TemporaryFolder(str(folder))
    found = sorted(str(p.relative_to(copy.path)) for p in Path(copy.path).rglob("*") if p.is_file())
    assert found == ["game.py", "levels/one.txt"]
    assert not copy.is_partial
    assert copy.copy_of(str(folder / "levels" / "one.txt")) == f"{copy.path}/levels/one.txt"
    assert copy.copy_of(str(folder / "missing.txt")) == str(folder / "missing.txt")


def test_entering_and_leaving_change_the_working_directory(
    make_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = TemporaryFolder(str(make_project({"game.py": ""})))
    for _ in range(2):
        copy.enter()
        assert str(Path.cwd()) == copy.path
        copy.exit()
        assert Path.cwd() == tmp_path


def test_a_folder_that_is_too_large_is_copied_in_part_and_its_copies_are_not_used(
    make_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_LARGEST_BYTE_COUNT", 10)
    folder = make_project({"a.txt": "12345678", "b/c.txt": "12345678"})
    copy = TemporaryFolder(str(folder))
    assert (Path(copy.path) / "a.txt").exists()
    assert not (Path(copy.path) / "b").exists()
    assert copy.is_partial
    assert copy.copy_of(str(folder / "a.txt")) == str(folder / "a.txt")


def test_a_process_has_one_for_each_folder_and_none_for_the_frameworks_examples(make_project: Project) -> None:
    folder = make_project({"game.py": "", "other.py": ""})
    of_the_game = temporary_folder_of(find_source(str(folder / "game.py")))
    assert of_the_game is not None
    assert of_the_game.base == str(folder)
    assert of_the_game is temporary_folder_of(find_source(str(folder / "other.py")))
    assert temporary_folder_of(find_source("retro.examples.snake")) is None


def test_a_process_whose_folder_was_removed_still_finds_one(
    make_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = TemporaryFolder(str(make_project({"game.py": ""})))
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    copy.enter()
    assert str(Path.cwd()) == copy.path
    copy.exit()
    assert str(Path.cwd()) == copy.path


def test_the_process_that_made_the_folder_removes_it_and_no_other(make_project: Project) -> None:
    path = Path(TemporaryFolder(str(make_project({"game.py": ""}))).path)
    sandbox._remove(str(path), os.getpid() + 1)
    assert path.is_dir()
    sandbox._remove(str(path), os.getpid())
    assert not path.exists()


MAKE_AND_WAIT = """
import sys
from retro_gamer.games.loading.sandbox import make_locked_folder
print(make_locked_folder("rg-test-", sys.argv[1]), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def remove_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the youngest folders count as abandoned."""
    monkeypatch.setattr(sandbox, "_YOUNGEST_REMOVED_SECONDS", -1)


@pytest.mark.usefixtures("remove_at_once")
def test_the_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MAKE_AND_WAIT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        theirs = Path(maker.stdout.readline().strip())
        (theirs / "scores.txt").write_text("1")
        ours = Path(make_locked_folder("rg-test-", str(tmp_path)))
        assert theirs.is_dir(), "its maker lives"
        maker.kill()
    third = Path(make_locked_folder("rg-test-", str(tmp_path)))
    assert sorted(tmp_path.iterdir()) == sorted([ours, third])


@pytest.mark.usefixtures("remove_at_once")
def test_only_old_folders_of_the_prefix_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    parent = tmp_path / "parent"
    (parent / "rg-test-old").mkdir(parents=True)
    (parent / "another").mkdir()
    os.symlink(elsewhere, parent / "rg-test-link")
    (parent / "rg-test-file").write_text("")
    remove_abandoned_folders("rg-test-", str(parent))
    assert sorted(path.name for path in parent.iterdir()) == ["another", "rg-test-file", "rg-test-link"]
    assert elsewhere.is_dir()
    monkeypatch.setattr(sandbox, "_YOUNGEST_REMOVED_SECONDS", 60)
    (parent / "rg-test-new").mkdir()
    remove_abandoned_folders("rg-test-", str(parent))
    assert (parent / "rg-test-new").is_dir(), "its maker may not have locked it yet"


@pytest.mark.usefixtures("remove_at_once")
def test_a_folder_that_cannot_be_listed_does_not_matter(tmp_path: Path) -> None:
    remove_abandoned_folders("rg-test-", str(tmp_path / "missing"))
    assert not (tmp_path / "missing").exists()


def test_what_a_game_does_to_its_process_is_undone(tmp_path: Path) -> None:
    limit, umask = sys.getrecursionlimit(), os.umask(0o022)
    try:
        sandbox = Sandbox("game.py")
        sandbox.enter()
        sys.setrecursionlimit(limit // 2)
        os.umask(0o777)
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        sandbox.exit()
        assert sys.getrecursionlimit() == limit
        (tmp_path / "file").touch()
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
        for descriptor in (0, 1, 2):
            os.fstat(descriptor)
    finally:
        os.umask(umask)


def test_a_game_may_close_its_own_files_and_raise_the_recursion_limit(tmp_path: Path) -> None:
    limit = sys.getrecursionlimit()
    sandbox = Sandbox("game.py")
    try:
        sandbox.enter()
        descriptor = os.open(tmp_path, os.O_RDONLY)
        os.close(descriptor)
        sys.setrecursionlimit(limit + 100)
        sandbox.exit()
        assert sys.getrecursionlimit() == limit + 100
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    finally:
        sys.setrecursionlimit(limit)
