"""The whole, on the framework's own games: create, train, play greedily and summarise."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from retro_gamer.driver.creation import create_run
from retro_gamer.driver.training_run import train
from retro_gamer.games.session import GameSession
from retro_gamer.policy import TrainedPolicy
from retro_gamer.run.config import update_config
from retro_gamer.run.events import EventLogger
from retro_gamer.run.log import TrainingLog

SNAKE, NAV, BEAST = "retro.examples.snake", "retro.examples.nav", "retro.examples.beast"
OBSERVED = {SNAKE: ["energy", "apple_dx"]}
"""Nav and Beast have no number in their state but the reward."""
EPISODES = 12

CASES: list[tuple[str, bool, bool, bool, int]] = [
    # game, spatial, observe_state, prioritized, actors: every pair of values that is possible occurs
    (SNAKE, True, True, True, 1),
    (SNAKE, False, True, False, 3),
    (SNAKE, True, True, True, 0),
    (SNAKE, False, False, True, 3),
    (SNAKE, False, True, False, 1),
    (SNAKE, True, False, False, 0),
    (NAV, True, False, True, 3),
    (NAV, False, False, False, 1),
    (NAV, False, False, True, 0),
    (BEAST, True, False, False, 3),
    (BEAST, False, False, True, 1),
    (BEAST, True, False, True, 0),
]


def test_the_cases_cover_every_possible_pair() -> None:
    levels: list[list[Any]] = [[SNAKE, NAV, BEAST], [True, False], [True, False], [True, False], [0, 1, 3]]
    possible = [case for case in itertools.product(*levels) if case[0] in OBSERVED or not case[2]]
    for i, j in itertools.combinations(range(5), 2):
        wanted = {(case[i], case[j]) for case in possible}
        assert {(case[i], case[j]) for case in CASES} == wanted


@pytest.mark.parametrize(("game", "spatial", "observed", "prioritized", "actors"), CASES)
def test_a_run_of_every_kind(
    game: str, spatial: bool, observed: bool, prioritized: bool, actors: int, tmp_path: Path, local_ray: object
) -> None:
    run_dir = tmp_path / "run"
    settings = {
        "training_episodes": EPISODES,
        "max_turns_per_episode": 60,
        "learning_starts": 50,
        "batch_size": 16,
        "exploration_turns": 50,
        "prioritize_experiences": prioritized,
    }
    create_run(game, run_dir, settings)
    update_config(run_dir, {("metadata", "spatial"): spatial})
    update_config(run_dir, {("metadata", "observe_state"): OBSERVED[game] if observed else []})

    outcome = train(run_dir, n_actors=actors, display=EventLogger())

    assert outcome.complete
    assert outcome.updates > 0
    episodes = TrainingLog(run_dir / "training.log").read_episodes()
    assert [line.episode for line in episodes] == list(range(1, EPISODES + 1))
    assert all(1 <= line.steps <= 60 for line in episodes)
    policy = TrainedPolicy(run_dir)
    source = policy.config.require_source()
    session = GameSession.load(source, policy.metadata)
    session.start()
    for _ in range(5):
        action = policy.choose_actions([session.game])[0]
        assert policy.metadata.key_of(action) == policy.get_action(session.game)
        if session.step(action).terminated:
            break
    assert session.turns > 0


def run_command(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "retro_gamer", *arguments], cwd=folder, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_two_hundred_episodes_as_typed(tmp_path: Path) -> None:
    """The commands of the reference with Ray started and stopped by themselves."""
    create = ["create", "--game", SNAKE, "--output", "runs/snake", "--training-episodes", "200"]
    create += ["--max-turns-per-episode", "30", "--train-every", "32"]
    assert "built-in" in run_command(*create, folder=tmp_path)
    assert "Trained 200 of 200 episodes" in run_command("train", "runs/snake", folder=tmp_path)
    run_dir = tmp_path / "runs" / "snake"
    last = (run_dir / "training.log").read_text().splitlines()[-1]
    assert last.startswith("[EP 0200] total_reward=")
    names = sorted(path.name for path in (run_dir / "checkpoints").iterdir())
    assert names == ["ep_0100.pt", "ep_0200.pt", "final.pt"]
    told = json.loads(run_command("info", "runs/snake", "--json", folder=tmp_path))
    assert told["training"]["episodes"] == 200
    report = json.loads(run_command("evaluate", "runs/snake", "--episodes", "8", "--json", folder=tmp_path))
    assert set(report["players"]) == {"random", "final"}
    assert report["players"]["final"]["episodes"] == 8
