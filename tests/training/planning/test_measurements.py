from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from retro_gamer.training.planning import measurements
from retro_gamer.training.planning.measurements import choose_threads, measure_service_times
from retro_gamer.training.planning.run_spec import RunSpec
from tests.training.planning.test_run_spec import make_run_spec


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(measurements, "TURNS", 40)
    monkeypatch.setattr(measurements, "UPDATES", 2)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("settings", [{}, {"prioritize_experiences": True, "batch_size": 4}])
def test_turn_and_update_take_some_time(tmp_path: Path, settings: dict[str, object]) -> None:
    times = measure_service_times(make_run_spec(tmp_path, **settings), most_threads=1)
    assert 1e-7 < times.turn < 0.1
    assert 1e-6 < times.update < 1


@pytest.mark.parametrize(("device", "tried"), [("cpu", [1, 2, 4]), ("cuda", [1])])
def test_threads_are_tried_where_they_do_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, tried: list[int]
) -> None:
    asked: list[tuple[int, str]] = []

    def measure_update(run_spec: RunSpec, n_threads: int, device: str) -> float:
        asked.append((n_threads, device))
        return 1 / n_threads

    monkeypatch.setattr(measurements, "_measure_update", measure_update)
    times = measure_service_times(make_run_spec(tmp_path), most_threads=4, device=device)
    assert asked == [(n_threads, device) for n_threads in tried]
    assert (times.update, times.learner_threads) == (1 / tried[-1], tried[-1])


def let_each_turn(run_spec: RunSpec, code: str) -> None:
    """Rewrite the game so that its walker runs `code` each turn."""
    assert run_spec.source is not None
    path = Path(str(run_spec.source.path))
    turn = f"    def play_turn(self, game):\n        {code}\n\n"
    path.write_text(path.read_text().replace("    def handle_keystroke", turn + "    def handle_keystroke"))


def test_a_slow_game_is_measured_as_such(tmp_path: Path) -> None:
    run_spec = make_run_spec(tmp_path)
    let_each_turn(run_spec, "sum(range(60_000))")
    assert measure_service_times(run_spec, most_threads=1).turn > 3e-4


@pytest.mark.parametrize(("slow_seconds", "games"), [(0.0, [1]), (60.0, [1, 3])])
def test_a_game_that_is_slow_to_build_is_built_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow_seconds: float, games: list[int]
) -> None:
    made: list[int] = []
    make_actor = RunSpec.make_actor

    def spy(run_spec: RunSpec, *, n_games: int, **rest: Any) -> Any:
        made.append(n_games)
        return make_actor(run_spec, n_games=n_games, **rest)

    monkeypatch.setattr(RunSpec, "make_actor", spy)
    monkeypatch.setattr(measurements, "SLOW_SECONDS", slow_seconds)
    times = measure_service_times(make_run_spec(tmp_path, games_per_actor=3), most_threads=1)
    assert made == games
    assert 0 < times.turn < math.inf


def test_a_game_of_which_no_turn_can_be_played_is_endlessly_slow(tmp_path: Path) -> None:
    run_spec = make_run_spec(tmp_path)
    let_each_turn(run_spec, "1 / 0")
    assert measure_service_times(run_spec, most_threads=1).turn == math.inf


@pytest.mark.parametrize(
    ("updates", "expected"),
    [
        ({1: 4.0}, 1),
        ({1: 4.0, 2: 3.9, 4: 3.8}, 1),
        ({1: 4.0, 2: 2.5, 4: 2.4}, 2),
        ({1: 4.0, 2: 3.5, 4: 2.0, 8: 5.0}, 4),
    ],
)
def test_threads_are_taken_that_gain_enough(updates: dict[int, float], expected: int) -> None:
    assert choose_threads(updates) == expected


def test_every_power_of_two_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {1: 0.8, 2: 0.5, 4: 0.4}
    monkeypatch.setattr(measurements, "_measure_update", lambda run_spec, n_threads, device: seconds[n_threads])
    times = measure_service_times(make_run_spec(tmp_path), most_threads=7)
    assert (times.update, times.learner_threads) == (0.4, 4)
