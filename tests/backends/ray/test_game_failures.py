"""What games do to the process that plays them, done for real."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import ray

from retro_gamer.errors import EngineError
from retro_gamer.training.loop import end_conditions
from tests.backends.ray.games import line_of, make_faulty_game
from tests.training.corridors import CORRIDOR, episodes_of, make_corridor_run, train_here

pytestmark = pytest.mark.usefixtures("local_ray")

FATAL = ["os._exit(3)", "ctypes.string_at(0)", "ctypes.PyDLL(None).sleep(1000)"]
HANGS = ["while True: pass", "select.select([], [], [], 10_000)", "threading.Event().wait()"]


def notes_of(run_log: Path, words: str) -> list[str]:
    return [line for line in run_log.read_text().splitlines() if line.startswith("# ") and words in line]


def test_games_that_end_their_process_cost_a_grant_and_their_line_is_named(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    game = make_faulty_game(flag, FATAL)
    run = make_corridor_run(tmp_path, game=game, training_episodes=60, hang_seconds=2.0)
    assert train_here(run, n_actors=1).complete
    assert len(episodes_of(run)) == 60
    left, crashed, hung = notes_of(run.log_path, "Actor 0 was lost")
    assert "episodes are played again" in left
    assert f"game.py:{line_of(game, FATAL[1])}: Segmentation fault" in crashed
    # The library call holds the interpreter: no exception can be raised there.
    assert f"game.py:{line_of(game, FATAL[2])}: it did not return in time (hang_seconds)" in hung
    pids = flag.read_text().split()
    assert len(set(pids)) == len(FATAL)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


@pytest.mark.parametrize("in_build", [False, True])
def test_games_that_hang_are_left_and_their_line_is_named(tmp_path: Path, in_build: bool) -> None:
    flag = tmp_path / "flag"
    faults = HANGS[:1] if in_build else HANGS
    game = make_faulty_game(flag, faults, in_build=in_build)
    run = make_corridor_run(tmp_path, game=game, training_episodes=60, hang_seconds=2.0)
    assert train_here(run, n_actors=1).complete
    assert len(episodes_of(run)) == 60
    assert len(set(flag.read_text().split())) == 1  # the process lives on
    notes = notes_of(run.log_path, "did not return")
    for code, note in zip(faults, notes, strict=True):
        assert f"game.py:{line_of(game, code)}: HungGameError" in note
        assert ("cut short at its last good turn" in note) is not in_build


def test_a_game_that_always_ends_its_process_ends_the_run_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(end_conditions, "ACTOR_FAILURES_IN_A_ROW", 2)
    game = make_faulty_game(tmp_path / "flag", FATAL[1:2], after=0, for_ever=True)
    run = make_corridor_run(tmp_path, game=game, training_episodes=60)
    with pytest.raises(EngineError, match=r"game\.py:\d+: Segmentation fault"):
        train_here(run, n_actors=1)


CROWDED = """

import os, sys

crowd = []
right = create_game

def create_game():
    if os.getpid() != {driver}:
        crowd.append(bytearray(4_000_000))
        for stream in (sys.stdout, sys.stderr):
            print("x" * 100_000, file=stream, flush=True)
        os.system("echo " + "x" * 1000)
    return right()
"""


def log_bytes() -> int:
    """Return the size of all that Ray keeps of what its processes print."""
    node: Any = ray._private.worker.global_worker.node
    folder = Path(node.get_logs_dir_path())
    return sum(file.stat().st_size for file in folder.glob("worker-*"))


def test_a_game_that_leaks_and_prints_costs_neither_memory_nor_disk(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    game = CORRIDOR + CROWDED.format(driver=os.getpid())
    run = make_corridor_run(tmp_path, game=game, training_episodes=100, actor_growth_megabytes=150)
    before = log_bytes()
    assert train_here(run, n_actors=1).complete
    assert len(episodes_of(run)) == 100  # 20 MB printed and 400 MB kept
    (note,) = notes_of(run.log_path, "Actor 0 was restarted")
    assert "actor_growth_megabytes = 150" in note
    assert log_bytes() - before < 100_000
    shown = capfd.readouterr()
    assert "xxx" not in shown.out + shown.err
