from __future__ import annotations

import json
import multiprocessing
import shutil
import threading
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retro_gamer.cli import run
from retro_gamer.cli.commands import check as check_command
from retro_gamer.cli.display.check_text import CheckReport, find_remarks, to_json, to_lines
from retro_gamer.errors import GameFailedError
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.probe import workers
from retro_gamer.games.probe.findings import KeyEffects, ProbeFindings, StateKey
from retro_gamer.games.probe.game_probe import ProbePlan
from retro_gamer.games.probe.workers import probe_in_processes

GAMES = Path(__file__).parents[1] / "games"
QUICK = ["--turns", "200", "--seconds", "0.5"]


@pytest.fixture
def game(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GAMES / "old_style", tmp_path / "old style"))


def test_a_game_without_a_description_is_reported_and_described(game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(game), *QUICK, "--write"]) == 0
    shown = capsys.readouterr().out
    for piece in ("running nav_game.py", "10 x 12 cells", "ship", "KEY_LEFT, KEY_RIGHT changed something", "'score'"):
        assert piece in shown
    assert "weights" in shown
    assert f"retro-gamer create --game '{game}' --output runs/old-style" in shown
    values = tomllib.loads((game / "pyproject.toml").read_text())["tool"]["retro-gamer"]
    assert set(values["actions"]) == {"KEY_LEFT", "KEY_RIGHT"}
    assert (values["reward"], values["character_set"]) == ("score", ["O", "^"])
    GameMetadata.from_pyproject(game)

    before = (game / "pyproject.toml").read_bytes()
    assert run(["check", str(game), *QUICK, "--write"]) == 0
    assert "is complete; nothing was changed." in capsys.readouterr().out
    assert (game / "pyproject.toml").read_bytes() == before


def test_json_is_for_programs(game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(game), *QUICK, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["board_size"] == [10, 12]
    assert told["rewards"][0] == "score"
    assert told["suggested"]["reward"] == "score"
    assert told["keys"]["effective"] == ["KEY_LEFT", "KEY_RIGHT"]
    assert told["repeats_for_a_seed"] is True
    assert told["cost"]["inputs"] == 240
    assert told["written"] is None
    assert not (game / "pyproject.toml").exists()


def test_a_description_that_does_not_fit_is_a_problem(game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (game / "pyproject.toml").write_text('[tool.retro-gamer]\nactions = ["right"]\nreward = "score"\n')
    assert run(["check", str(game), *QUICK]) == 1
    assert "'right'" in capsys.readouterr().out
    assert run(["check", str(game), *QUICK, "--write"]) == 1
    said = capsys.readouterr().out
    assert f"Fix the description, then run check again: retro-gamer check '{game}'" in said
    assert "retro-gamer create" not in said
    (game / "pyproject.toml").write_text('[tool.retro-gamer]\nactions = ["KEY_LEFT"]\nreward = "points"\n')
    assert run(["check", str(game), *QUICK]) == 1
    assert 'try: reward = "score"' in capsys.readouterr().out
    (game / "pyproject.toml").write_text(
        '[tool.retro-gamer]\nactions = ["KEY_LEFT"]\nreward = "score"\nplayer = "shop"\n'
    )
    assert run(["check", str(game), *QUICK]) == 1
    assert 'try: player = "ship"' in capsys.readouterr().out


def test_of_a_description_without_actions_what_is_there_is_checked(
    game: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (game / "pyproject.toml").write_text('[tool.retro-gamer]\nreward = "scroe"\n')
    assert run(["check", str(game), *QUICK]) == 1
    shown = capsys.readouterr().out
    assert 'try: reward = "score"' in shown
    assert "actions = [" in shown
    (game / "pyproject.toml").write_text('[tool.retro-gamer]\nplayer = "ship"\n')
    assert run(["check", str(game), *QUICK]) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import os\nos._exit(7)\n", "ended its whole process (exit status 7)"),
        ("1 / 0\n", "game.py:1: ZeroDivisionError"),
    ],
)
def test_a_game_that_ends_its_process_is_reported(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "game.py").write_text(text)
    assert run(["check", str(tmp_path / "game.py"), *QUICK]) == 1
    assert message in capsys.readouterr().err


def test_a_game_that_hangs_is_abandoned(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text("while True:\n    pass\n")
    plan = ProbePlan(source=find_source(str(tmp_path / "game.py")), hang_seconds=0.5)
    with pytest.raises(GameFailedError, match=r"game.py:\d: HungGameError: did not return"):
        probe_in_processes(plan, 1, lambda turns: None)


def test_create_points_to_check(game: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["create", "--game", str(game), "--output", str(tmp_path / "run")]) == 2
    assert f"retro-gamer check '{game}' --write" in capsys.readouterr().err


def make_check(described: dict[str, Any] | None = None, **values: Any) -> CheckReport:
    values = {"repeats": True, **values}
    findings = ProbeFindings(how="main()", turns=100, seconds=0.1, board_size=(9, 9), view_size=(9, 9), **values)
    return CheckReport(
        game="game.py",
        findings=findings,
        described=described or {},
        origin="the test" if described else None,
        proposed={},
        problems=(),
        cost=None,
        seconds=1.0,
    )


def effects(changed: int, *outcomes: str, ended: int = 0) -> KeyEffects:
    return KeyEffects(tries=9, changed=changed, ended=ended, outcomes=dict(enumerate(outcomes)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("check", "remark"),
    [
        (make_check({"actions": ["a"]}, keys={"a": effects(0)}), "a never changed anything in 9 tries"),
        (
            make_check({"actions": [" ", "w"]}, keys={" ": effects(3, *"xyz"), "w": effects(3, *"xyz")}),
            "The keys space, w always did the same",
        ),
        (make_check({"reward": "score"}, state={"score": StateKey(low=0, high=0)}), '"score" did not change in 100'),
        (make_check({"reward": "@end"}, cut_short=4), "none of 4 did"),
        (make_check({"character_set": ["@"]}, characters={"@": 3, "#": 1}), "also showed #"),
        (make_check(repeats=None, start_seconds=9.0, cut_short=2), "takes 9.0 seconds"),
        (make_check(repeats=None, start_seconds=9.0, cut_short=1), "is based on 100 turns of 1 game."),
        (make_check(repeats=False), "with the same seed differed"),
        (
            make_check({"end": {"lifes = 0": -1}}, state={"lives": StateKey()}),
            "end: 'lifes = 0' names no key of the game's state, so it is taken for a text that it shows. "
            "Did you mean lives?",
        ),
        (make_check(ignores_seed=True), "does not seem to use chance"),
        (make_check(sharing="it changes the framework"), "one game at a time, because it changes"),
        (make_check(keys={"q": effects(4, *"abcd", ended=4)}, keys_in_code=("q",)), "q only ended the game"),
    ],
)
def test_remarks(check: CheckReport, remark: str) -> None:
    (found,) = list(find_remarks(check))
    assert remark in found
    assert f"! {found}" in list(to_lines(check))
    assert found in json.loads(json.dumps(to_json(check)))["remarks"]


def test_texts_and_state_keys_in_end_cause_no_remark() -> None:
    end = {"you win": 1, "lives == 0": -1, "otherwise": 0}
    assert not [
        remark for remark in find_remarks(make_check({"end": end}, state={"lives": StateKey()})) if "end" in remark
    ]


def test_the_described_keys_are_tried_and_used_in_random_games(game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (game.parent / "pyproject.toml").write_text(
        '[tool.retro-gamer]\nactions = ["KEY_F5", "KEY_RIGHT"]\nreward = "score"\n'
    )
    assert run(["check", str(game), *QUICK]) == 0
    assert "KEY_F5 never changed anything" in capsys.readouterr().out


def test_the_window_is_recommended_where_the_board_is_large() -> None:
    check = make_check()
    check.findings.board_size = (90, 90)
    assert 'observe = "view"' in " ".join(find_remarks(check))
    check = make_check({"observe": "view"})
    check.findings.board_size = (90, 90)
    assert list(find_remarks(check)) == []


def test_a_score_that_is_constant_for_a_few_turns_is_not_reported() -> None:
    check = make_check({"reward": "score"}, state={"score": StateKey(low=0, high=0)})
    check.findings.turns = 99
    assert list(find_remarks(check)) == []


def test_a_process_kept_from_a_processor_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    told = iter([0.0, 1000.0])

    def starve(process: object) -> float:
        seconds = next(told)
        if seconds:
            theirs.send(7)
        return seconds

    monkeypatch.setattr(workers, "starved_seconds", starve)
    running: dict[Any, Any] = {ours: SimpleNamespace(pid=1)}
    assert workers._wait([ours], running, 0.01) == [ours]
    assert ours.recv() == 7
    told = iter([0.0, 0.0])
    assert workers._wait([ours], running, 0.01) == []


class ImmediateTimer(threading.Timer):
    """Runs its function when it starts, in the thread that starts it."""

    def start(self) -> None:
        self.run()

    def run(self) -> None:
        self.function()


@pytest.mark.parametrize(("is_quiet", "shown"), [(False, "Building the first game\n"), (True, "")])
def test_a_game_that_takes_long_to_build_is_reported_to_be_built(
    is_quiet: bool, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threading, "Timer", ImmediateTimer)
    with check_command._progress(is_quiet) as report:
        report(0)
        assert capsys.readouterr().err == shown
        report(1)
