from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import retro_gamer.cli
from retro_gamer import cli
from retro_gamer.cli import run
from retro_gamer.errors import GameFailedError, RunNotFoundError
from retro_gamer.version import __version__
from tests.trained_runs import make_run

HEAVY = ("torch", "ray", "numpy", "retro", "rich", "blessed", "tomlkit", "asyncio", "multiprocessing")
"""What takes a while to import: --help is to answer within 0.4 seconds."""


def _loaded_by(arguments: list[str], names: tuple[str, ...]) -> str:
    code = (
        f"import sys; from retro_gamer.cli import run; status = run({arguments!r}); "
        f"print('loaded', status, sorted(set({names!r}) & set(sys.modules)))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["create", "--help"], ["train", "-h"], ["play", "-h"], ["evaluate", "-h"], ["--version"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert "loaded 0 []" in _loaded_by(arguments, HEAVY)


def test_info_and_create_import_neither_torch_nor_ray(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)

    assert "loaded 0 []" in _loaded_by(["info", str(run_dir)], ("torch", "ray"))
    create = ["create", "--game", "retro.examples.snake", "--output", str(tmp_path / "snake")]
    assert "loaded 0 []" in _loaded_by(create, ("torch", "ray"))


def test_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    commands = lines[lines.index("Commands:") + 1 :]
    assert {line.split()[0] for line in commands} >= {"create", "train", "play", "evaluate", "info"}
    for line in commands:
        assert line.endswith("."), "its description is cut off"
        assert not line.endswith("...")


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"retro-gamer {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["creat"],
        ["create", "--game", "retro.examples.snake"],
        ["train"],
        ["train", "run", "--actors", "-1"],
        ["train", "run", "--actors", "two"],
        ["train", "run", "--minutes", "0"],
        ["train", "run", "--minutes", "nan"],
        ["info", "run", "--episodes", "-1"],
        ["info", "there is no such run"],
        ["play", "run", "--checkpoints", "x"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert capfd.readouterr().err or not arguments


def _failing_app(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("retro_gamer.cli.commands.info.make_report", fail)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (RunNotFoundError("no run"), 2, "Error: no run\n"),
        (GameFailedError("game.py:3: boom\x1b[31m"), 1, "Error: game.py:3: boom\\x1b[31m\n"),
        (PermissionError(13, "Permission denied", "config.toml"), 1, "Error: Permission denied: config.toml\n"),
        (OSError("odd"), 1, "Error: odd\n"),
    ],
)
def test_errors_are_one_message_without_a_traceback(
    error: Exception, status: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _failing_app(monkeypatch, error)

    assert run(["info", "run"]) == status
    assert capsys.readouterr().err == message


def test_a_bug_is_reported_as_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _failing_app(monkeypatch, KeyError("lost"))

    assert run(["info", "run"]) == 1
    shown = capsys.readouterr().err
    assert "KeyError: 'lost'" in shown
    assert "This is a bug in retro-gamer" in shown
    assert "--debug" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("arguments", [["--debug", "info", "run"], ["info", "run", "--debug"]])
def test_debug_shows_the_traceback(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _failing_app(monkeypatch, RunNotFoundError("no run"))

    assert run(arguments) == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("Error: no run\n")


def test_an_interruption_is_status_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _failing_app(monkeypatch, KeyboardInterrupt())

    assert run(["info", "run"]) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_main_exits_with_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["retro-gamer", "info", "there is no such run"])
    with pytest.raises(SystemExit) as end:
        retro_gamer.cli.main()
    assert end.value.code == 2


def test_the_console_script_is_main() -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="retro-gamer")
    assert script.load() is cli.main


def test_what_the_encoding_lacks_does_not_end_a_command(tmp_path: Path) -> None:
    command = ["create", "--game", "retro.examples.beast", "--output", str(tmp_path / "run")]
    process = subprocess.run(
        [sys.executable, "-m", "retro_gamer", *command],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )
    assert b"* H \\u2588" in process.stdout


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "retro_gamer", "info", str(run_dir)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert b"bug in" not in process.stderr.read()
    process.wait()
    process.stderr.close()


def test_a_deleted_working_directory_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    code = f"import os; os.mkdir({str(folder)!r}); os.chdir({str(folder)!r}); os.rmdir({str(folder)!r})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; from retro_gamer.cli import main; main()", "info", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("Error: the working directory was deleted. Change to one that exists")


def test_closed_streams_are_replaced(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m retro_gamer info {shlex.quote(str(tmp_path))} <&- 2>&- >&-", shell=True
    )
    assert done.returncode == 2
