"""Without actors, a run that was interrupted and resumed is the same as one that was not, bit for bit."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from retro_gamer.learning.checkpoint import load_checkpoint
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import Progress
from retro_gamer.training.loop import training_loop
from tests.training.corridors import CORRIDOR, make_corridor_run, train_here
from tests.training.stand_ins import RecordingSink

RANDOM_START = CORRIDOR.replace(
    "    return Game([Walker(), Door()]", "    import random\n    Walker.position = (random.randrange(4), 0)\n"
    "    return Game([Walker(), Door()]",
)  # fmt: skip


class Interrupter(RecordingSink):
    """Asks the run to stop, as Ctrl-C does, once some updates were done."""

    def __init__(self, at_update: int) -> None:
        super().__init__()
        self.at_update = at_update

    def on_progress(self, progress: Progress) -> None:
        if progress.turns >= self.at_update:
            self.at_update = 10**9
            signal.raise_signal(signal.SIGINT)


def lines_of(run: RunDirectory) -> list[str]:
    return [line for line in run.log_path.read_text().splitlines() if line.startswith("[EP")]


def state_of(run: RunDirectory, name: str = "final") -> dict[str, Any]:
    return load_checkpoint(run.resolve_checkpoint(name).path.read_bytes(), name)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else bool(first == second)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"prioritize_experiences": True},
        {"memory_capacity": 100, "target_update_freq": 7},
        {"train_every": 1, "n_step": 5},
        {"learning_starts": 150, "lr_decay": 0.9},
    ],
)
def test_interrupted_and_resumed_is_the_same_as_not_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.setattr(training_loop, "REPORT_SECONDS", 0.0)
    whole, parts = (
        make_corridor_run(tmp_path, game=RANDOM_START, run_name=name, training_episodes=50, **settings)
        for name in ("whole", "parts")
    )
    outcome = train_here(whole)
    lines: list[str] = []
    for at_turns in (60, 61, 200, 320):
        stopped = train_here(parts, display=Interrupter(at_turns), resume="latest" if lines else None)
        assert stopped.signal_number == signal.SIGINT
        lines = lines_of(parts)
        assert lines == lines_of(whole)[: len(lines)]
    resumed = train_here(parts, resume="latest")
    assert lines_of(parts) == lines_of(whole)
    assert (resumed.turns, resumed.updates) == (outcome.turns, outcome.updates)
    first, second = state_of(whole), state_of(parts)
    networks = ("model_state_dict", "online_state_dict", "target_state_dict", "optimizer_state_dict")
    for name in (*networks, "slack_turns", "epsilon", "recent_rewards", "largest_reward"):
        assert same(first[name], second[name]), name


@pytest.mark.parametrize("train_every", [1, 2, 4])
def test_a_request_to_stop_is_heard_while_much_is_to_be_learned_of_each_game(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train_every: int
) -> None:
    monkeypatch.setattr(training_loop, "REPORT_SECONDS", 0.0)
    long: dict[str, Any] = {"max_turns_per_episode": 150, "train_every": train_every, "training_episodes": 12}
    whole, parts = (
        make_corridor_run(tmp_path, game=CORRIDOR.replace("x == 6", "x == 600"), run_name=name, **long)
        for name in ("whole", "parts")
    )
    outcome = train_here(whole)
    stopped = train_here(parts, display=Interrupter(5 * 150))
    assert 5 * 150 <= stopped.turns < 6 * 150 + 1, "the game under way is the last"
    resumed = train_here(parts, resume="latest")
    assert (resumed.turns, resumed.updates) == (outcome.turns, outcome.updates)
    assert lines_of(parts) == lines_of(whole)
    assert same(state_of(whole)["online_state_dict"], state_of(parts)["online_state_dict"])
