"""What games do to the process that plays them, done for real."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import ray

from retro_gamer.errors import EngineError, GameFailedError
from retro_gamer.training.ray import runtime as runtime_module

from ..corridors import episodes_of, make_corridor_run, train_here
from .games import make_faulty_game

pytestmark = pytest.mark.usefixtures("local_ray")

FATAL = {
    "leaves at once": ("os._exit(3)", "was lost"),
    "crashes": ("ctypes.string_at(0)", ": Segmentation fault"),
    "keeps the interpreter": (
        "ctypes.PyDLL(None).sleep(1000)",
        "it did not come back in time (hang_seconds)",
    ),
}


@pytest.mark.parametrize("fault", FATAL)
def test_a_game_that_ends_its_process_costs_a_grant_and_its_line_is_named(tmp_path: Path, fault: str) -> None:
    code, said = FATAL[fault]
    flag = tmp_path / "flag"
    game = make_faulty_game(flag, code)
    run = make_corridor_run(tmp_path, game=game, training_episodes=60, hang_seconds=0.5)
    assert train_here(run, n_actors=1).complete
    assert len(episodes_of(run)) == 60
    (note,) = [line for line in run.log_path.read_text().splitlines() if "was lost" in line]
    assert said in note
    if ":" in said or "time" in said:
        line = 1 + game.splitlines().index(f"    {code}")
        assert f"game.py:{line}: " in note
    with pytest.raises(ProcessLookupError):
        os.kill(int(flag.read_text()), 0)


HANGS = {
    "loops": ("while True: pass", False),
    "sleeps": ("time.sleep(10_000)", False),
    "waits": ("threading.Lock().acquire() and threading.Event().wait()", False),
    "loops while it is built": ("while True: pass", True),
}


@pytest.mark.parametrize("hang", HANGS)
def test_a_game_that_hangs_is_left_and_its_line_is_named(tmp_path: Path, hang: str) -> None:
    code, in_build = HANGS[hang]
    flag = tmp_path / "flag"
    game = make_faulty_game(flag, code, in_build=in_build)
    run = make_corridor_run(tmp_path, game=game, training_episodes=60, hang_seconds=0.4)
    assert train_here(run, n_actors=1).complete
    assert len(episodes_of(run)) == 60
    assert flag.exists()
    line = 1 + game.splitlines().index(f"    {code}")
    (note,) = [text for text in run.log_path.read_text().splitlines() if "did not come back" in text]
    assert f"game.py:{line}: HungGameError" in note
    assert ("cut short at its last good turn" in note) is not in_build


def test_a_game_that_always_ends_its_process_ends_the_run_and_says_where(tmp_path: Path) -> None:
    game = make_faulty_game(tmp_path / "flag", "ctypes.string_at(0)", after=0, once=False)
    run = make_corridor_run(tmp_path, game=game, training_episodes=60)
    with pytest.raises(EngineError, match=r"game\.py:\d+: Segmentation fault"):
        train_here(run, n_actors=1)
