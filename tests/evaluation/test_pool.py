from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from retro_gamer.errors import CheckpointError, GameFailedError
from retro_gamer.evaluation.pool import Share, divide_seeds, evaluate_checkpoints, play_share
from tests.trained_runs import LEFT, RIGHT, WALK, make_trained_run, save

FROM_START_TO_THE_RIGHT_EDGE = 6
"""Turns, and points: the walker begins at cell 4 of 10, and the step off the board counts, too."""


@pytest.mark.parametrize(
    ("episodes", "n_processes", "sizes"),
    [
        (1, 8, [1]),
        (5, 2, [3, 2]),
        (40, 2, [16, 16, 8]),
        (100, 2, [16, 16, 16, 16, 16, 16, 4]),
        (1000, 2, [125] * 8),
        (1000, 1, [250] * 4),
    ],
)
def test_games_are_dealt_to_all_processes(episodes: int, n_processes: int, sizes: list[int]) -> None:
    dealt = divide_seeds(3, episodes, n_processes)
    assert [len(seeds) for seeds in dealt] == sizes
    together = [seed for seeds in dealt for seed in seeds]
    assert together == [seed for seeds in divide_seeds(3, episodes, 1) for seed in seeds]
    assert len(set(together)) == episodes
    assert not set(together) & {seed for seeds in divide_seeds(4, episodes, 1) for seed in seeds}


def test_a_share_is_played_without_exploration_by_its_checkpoint(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path, always=RIGHT)
    share = Share(run_dir=str(run_dir), checkpoint="final", seeds=(1, 2, 3), max_turns=100)
    for result in play_share(share):
        assert (result.turns, result.total_reward) == (FROM_START_TO_THE_RIGHT_EDGE, FROM_START_TO_THE_RIGHT_EDGE)
        assert result.state == {"score": FROM_START_TO_THE_RIGHT_EDGE, "lives": 3}


def test_random_play_needs_no_checkpoint(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path)
    (run_dir / "checkpoints" / "final.pt").write_bytes(b"torn")
    share = Share(run_dir=str(run_dir), checkpoint=None, seeds=tuple(range(30)), max_turns=10_000)
    results = play_share(share)
    assert {result.total_reward for result in results} == {6, -5}, "it ends at one edge or the other"


def test_a_game_that_hangs_is_abandoned(tmp_path: Path) -> None:
    hanging = WALK.replace(
        'game.state["score"] += position', "while True: pass\n        game.state['score'] += position"
    )
    run_dir = make_trained_run(tmp_path, game=hanging, hang_seconds=0.2)
    (result,) = play_share(Share(run_dir=str(run_dir), checkpoint="final", seeds=(1,), max_turns=9))
    assert "hang_seconds" in (result.failure or "")


def test_every_player_plays_the_same_games_in_processes_of_their_own(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path, names=("ep_0100",), always=LEFT)
    save(run_dir, "final", always=RIGHT)
    told: list[int] = []
    found = evaluate_checkpoints(
        str(run_dir), ["ep_0100", "final"], episodes=20, seed=1, max_turns=100, n_processes=2, on_played=told.append
    )
    assert list(found) == [None, "ep_0100", "final"]
    assert [found[name].mean for name in ("ep_0100", "final")] == [-5, FROM_START_TO_THE_RIGHT_EDGE]
    assert found["final"].interval == 0
    assert -5 < found[None].mean < FROM_START_TO_THE_RIGHT_EDGE
    assert found["final"].state_means == {}, "the lives never change, and the score is told as such"
    assert told[-1] == 60
    assert told == sorted(told)
    assert multiprocessing.active_children() == []


def test_a_game_that_ends_its_process_is_an_error(tmp_path: Path) -> None:
    ending = WALK.replace("game.end()", "__import__('os')._exit(3)")
    run_dir = make_trained_run(tmp_path, game=ending)
    with pytest.raises(GameFailedError, match="ended it"):
        evaluate_checkpoints(str(run_dir), ["final"], episodes=2, seed=1, max_turns=100, n_processes=1)


def test_a_damaged_checkpoint_is_an_error(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path)
    (run_dir / "checkpoints" / "final.pt").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="damaged"):
        evaluate_checkpoints(str(run_dir), ["final"], episodes=2, seed=1, max_turns=100, n_processes=1)


def test_of_several_checkpoints_those_missing_or_damaged_are_skipped(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path, names=("ep_0100", "final"))
    (run_dir / "checkpoints" / "ep_0100.pt").write_bytes(b"torn")
    told: list[str] = []
    found = evaluate_checkpoints(
        str(run_dir), ["ep_0100", "ep_0157", "final"], episodes=2, seed=1, max_turns=100, n_processes=1,
        on_skipped=told.append,
    )  # fmt: skip
    assert list(found) == [None, "final"]
    assert ["ep_0100" in reason or "ep_0157" in reason for reason in told] == [True, True]


def test_an_installed_game_is_played_one_game_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has variables of its module, of which there is one copy."""
    counting = WALK.replace("def create_game():", "points = 0\n\ndef create_game():\n    global points\n    points = 0")
    counting = counting.replace(
        'game.state["score"] += position[0] - self.position[0]',
        'globals().update(points=points + 1)\n        game.state["score"] = points',
    )
    (tmp_path / "installed_walk.py").write_text(counting)
    monkeypatch.syspath_prepend(tmp_path)
    run_dir = make_trained_run(tmp_path)
    config = run_dir / "config.toml"
    lines = [line for line in config.read_text().splitlines() if not line.startswith(("path", "search_path"))]
    config.write_text("\n".join(lines).replace('module = "game"', 'module = "installed_walk"'))
    results = play_share(Share(run_dir=str(run_dir), checkpoint="final", seeds=tuple(range(40)), max_turns=100))
    assert {(result.turns, result.total_reward) for result in results} == {(6, 6)}


def test_a_game_whose_board_has_changed_since_is_not_evaluated(tmp_path: Path) -> None:
    run_dir = make_trained_run(tmp_path)
    path = tmp_path / "project" / "game.py"
    path.write_text(path.read_text().replace("board_size=(10, 4)", "board_size=(12, 4)"))
    with pytest.raises(CheckpointError, match="12 x 4 now"):
        evaluate_checkpoints(str(run_dir), ["final"], episodes=2, seed=1, max_turns=100, n_processes=1)
