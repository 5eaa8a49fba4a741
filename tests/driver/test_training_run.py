from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from retro.game import Game

from retro_gamer.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    ConfigurationError,
    GameFailedError,
    RunExistsError,
    RunNotFoundError,
    UsageError,
)
from retro_gamer.learning.checkpoint import load_checkpoint
from retro_gamer.policy import TrainedPolicy
from retro_gamer.run.config import load_config, update_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import Progress
from retro_gamer.run.files import RunLock
from retro_gamer.run.log import HEADER_WIDTH, EpisodeLine, parse_episode, wrap_lines
from retro_gamer.training.loop import training_loop
from tests.trained_runs import make_run
from tests.training.corridors import (
    CORRIDOR,
    DESCRIPTION,
    count_greedy_turns,
    episodes_of,
    make_corridor_run,
    train_here,
)
from tests.training.stand_ins import RecordingSink


def read_checkpoint(run: RunDirectory, name: str) -> dict[str, Any]:
    return load_checkpoint(run.resolve_checkpoint(name).path.read_bytes(), name)


def weights_of(run: RunDirectory, name: str = "final") -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = read_checkpoint(run, name)["model_state_dict"]
    return weights


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("spatial", "settings"),
    [
        ("true", {"seed": 0}),
        ("true", {"seed": 1, "n_layers": 0}),
        ("true", {"seed": 2, "prioritize_experiences": True, "n_step": 1}),
        ("false", {"seed": 3}),
        ("false", {"seed": 4, "n_layers": 2, "train_every": 2, "n_step": 5}),
    ],
)
def test_a_corridor_is_solved(tmp_path: Path, spatial: str, settings: dict[str, Any]) -> None:
    run = make_corridor_run(
        tmp_path, description=f"{DESCRIPTION}spatial = {spatial}\n", training_episodes=160, **settings
    )
    outcome = train_here(run)
    assert count_greedy_turns(run) == 6
    assert (outcome.complete, outcome.episodes, outcome.checkpoint) == (True, 160, "final")
    # In front of the door the next step is worth the ten points.
    policy = TrainedPolicy(run.path)
    game = next_to_the_door(run)
    assert policy.q_values(game)[0] == pytest.approx(10, rel=0.2)


def next_to_the_door(run: RunDirectory) -> Game:
    namespace: dict[str, Any] = {}
    exec(CORRIDOR, namespace)
    game = namespace["create_game"]()
    game.agents[0].position = (5, 0)
    return game


@pytest.mark.parametrize("settings", [{}, {"prioritize_experiences": True}, {"n_layers": 0, "train_every": 1}])
def test_the_same_seed_gives_the_same_run_bit_for_bit(tmp_path: Path, settings: dict[str, Any]) -> None:
    runs = [make_corridor_run(tmp_path, run_name=f"run{i}", seed=7, **settings) for i in range(2)]
    outcomes = [train_here(run) for run in runs]
    assert runs[0].log_path.read_bytes() == runs[1].log_path.read_bytes()
    assert (outcomes[0].turns, outcomes[0].updates) == (outcomes[1].turns, outcomes[1].updates)
    first, second = (read_checkpoint(run, "final") for run in runs)
    for part in ("model_state_dict", "target_state_dict"):
        assert same(first[part], second[part])
    for moment in ("exp_avg", "exp_avg_sq"):
        assert same(first["optimizer_state_dict"][moment], second["optimizer_state_dict"][moment])


def test_another_seed_gives_another_run(tmp_path: Path) -> None:
    runs = [make_corridor_run(tmp_path, run_name=f"run{seed}", seed=seed) for seed in (7, 8)]
    for run in runs:
        train_here(run)
    assert episodes_of(runs[0]) != episodes_of(runs[1])
    assert not same(weights_of(runs[0]), weights_of(runs[1]))


def test_what_a_run_leaves_behind(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=120, target_update_freq=10)
    display = RecordingSink()
    outcome = train_here(run, display=display)
    assert [file.name for file in run.checkpoints()] == ["ep_0100", "final"]
    lines = episodes_of(run)
    assert len(lines) == 120
    assert sum(line.steps for line in lines) == outcome.turns
    assert all(line.total_reward == (10 if line.steps < 40 else 0) or line.steps == 40 for line in lines)
    text = run.log_path.read_text()
    assert text.startswith(wrap_lines(display.texts[0], HEADER_WIDTH))
    assert "Architecture" in text.splitlines()[0]
    assert "Allocation" in text
    final, earlier = read_checkpoint(run, "final"), read_checkpoint(run, "ep_0100")
    assert (final["episode"], final["total_turns"]) == (120, outcome.turns)
    assert (final["total_steps"], earlier["episode"]) == (outcome.updates, 100)
    assert final["epsilon"] == pytest.approx(max(0.05, 0.95**120))
    assert earlier["epsilon"] == pytest.approx(max(0.05, 0.95**100))
    assert outcome.updates == (outcome.turns - 50) // 4
    assert display.progresses[-1].episodes == 120


def test_resuming_goes_on_from_an_episode_and_keeps_what_came_after_it(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=220)
    train_here(run)
    before = run.log_path.read_bytes()
    at_100 = read_checkpoint(run, "ep_0100")
    abandoned = {name: weights_of(run, name) for name in ("ep_0200", "final")}
    update_config(run.path, {("hyperparameters", "training_episodes"): 210})
    outcome = train_here(run, resume="ep_0100")
    assert (run.path / "training.log.1").read_bytes() == before
    lines = episodes_of(run)
    assert len(lines) == 210
    assert list(map(str, lines[:100])) == list(map(str, episodes_in(before)[:100]))  # a loss may be nan
    text = run.log_path.read_text()
    for part in ("Resumed at episode 100", "training.log.1", "training_episodes changed from 220 to 210."):
        assert part in text
    assert [line.epsilon for line in lines[100:]] == pytest.approx(
        [max(0.05, 0.95**i) for i in range(100, 210)], abs=1e-4
    )
    folder = run.checkpoints_dir / "abandoned-1"
    assert sorted(path.name for path in folder.iterdir()) == ["ep_0200.pt", "final.pt"]
    for name, weights in abandoned.items():
        assert same(load_checkpoint((folder / f"{name}.pt").read_bytes(), name)["model_state_dict"], weights)
    final = read_checkpoint(run, "final")
    turns = sum(line.steps for line in lines[100:])
    assert final["total_turns"] == outcome.turns == at_100["total_turns"] + turns
    assert final["total_steps"] == outcome.updates == at_100["total_steps"] + (turns - 50) // 4
    assert count_greedy_turns(run) == 6


def episodes_in(log: bytes) -> list[EpisodeLine]:
    return [line for text in log.decode().splitlines() if (line := parse_episode(text))]


def test_resuming_takes_over_network_target_optimizer_and_rates(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=100, target_update_freq=7, snapshot_megabytes=0)
    train_here(run)
    update_config(
        run.path,
        {("hyperparameters", "training_episodes"): 101, ("hyperparameters", "learning_starts"): 100_000},
    )
    before = read_checkpoint(run, "final")
    train_here(run, resume="latest")
    after = read_checkpoint(run, "final")
    # Too few turns for an update: all that was learned must stand as it was.
    for part in ("model_state_dict", "target_state_dict"):
        assert same(before[part], after[part])
    for moment in ("exp_avg", "exp_avg_sq"):
        assert same(before["optimizer_state_dict"][moment], after["optimizer_state_dict"][moment])
    assert after["optimizer_state_dict"]["step"] == before["optimizer_state_dict"]["step"]
    assert after["optimizer_state_dict"]["learning_rate"] == pytest.approx(0.003 * 0.995**101)
    assert [file.name for file in run.checkpoints()] == ["ep_0100", "final"]


@pytest.mark.parametrize("how", ["ep_0100", "ep_0100.pt", "absolute", "working directory"])
def test_a_checkpoint_to_resume_from_is_named_in_many_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    run = make_corridor_run(tmp_path, training_episodes=102, learning_starts=10_000)
    train_here(run)
    path = run.checkpoints_dir / "ep_0100.pt"
    text = how
    if how == "absolute":
        text = str(path)
    elif how == "working directory":
        monkeypatch.chdir(run.path.parent)
        text = str(path.relative_to(run.path.parent))
    train_here(run, resume=text)
    assert len(episodes_of(run)) == 102
    assert "Resumed from ep_0100 at episode 100." in run.log_path.read_text()


def test_a_finished_run_resumed_has_nothing_left_to_do(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=10)
    train_here(run)
    weights = weights_of(run)
    outcome = train_here(run, resume="latest")
    assert (outcome.complete, outcome.episodes, outcome.checkpoint) == (True, 10, "final")
    assert same(weights_of(run), weights)
    assert len(episodes_of(run)) == 10
    assert "All 10 episodes are done" in run.log_path.read_text()


def test_a_run_with_checkpoints_is_not_trained_over(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, run_name="my run", training_episodes=5)
    train_here(run)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(RunExistsError, match=r"train '.*/my run' --resume latest"):
        train_here(run)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_a_checkpoint_that_does_not_fit_is_refused_naming_every_field(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=5)
    train_here(run)
    before = (run.log_path.read_bytes(), run.checkpoints())
    update_config(
        run.path,
        {
            ("metadata", "actions"): ["KEY_RIGHT"],
            ("metadata", "spatial"): False,
            ("metadata", "observe_state"): ["steps"],
            ("metadata", "character_set"): [">", "@"],
            ("hyperparameters", "layer_size"): 32,
        },
    )
    with pytest.raises(CheckpointError) as raised:
        train_here(run, resume="final")
    message = str(raised.value)
    for part in ("actions: ", "spatial: ", "observe_state: ", "layer_size: ", "character_set: ", "config.toml"):
        assert part in message
    assert "n_layers" not in message
    assert (run.log_path.read_bytes(), run.checkpoints()) == before


def test_characters_added_to_the_configuration_are_learned_after_resuming(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=60)
    train_here(run)
    update_config(
        run.path,
        {("metadata", "character_set"): ["@", ">", "x"], ("hyperparameters", "training_episodes"): 65},
    )
    train_here(run, resume="latest")
    final = read_checkpoint(run, "final")
    assert final["characters"] == ["@", ">", "x"]
    assert final["spec"]["n_characters"] == 3
    assert count_greedy_turns(run) == 6


def test_characters_are_discovered_and_written_down_beside_the_comments(tmp_path: Path) -> None:
    description = DESCRIPTION.replace('character_set = ["@", ">"]\n', "")
    run = make_corridor_run(tmp_path, description=description, training_episodes=3)
    before = run.config_path.read_text()
    assert load_config(run.path).metadata.character_set is None
    train_here(run)
    config = load_config(run.path)
    assert config.metadata.character_set == (">", "@")
    after = run.config_path.read_text()
    assert [line for line in before.splitlines() if line.startswith("#")] == [
        line for line in after.splitlines() if line.startswith("#")
    ]
    assert read_checkpoint(run, "final")["characters"] == [">", "@"]


CHANGING = CORRIDOR.replace(
    "    z = -1\n", '    z = -1\n\n    def play_turn(self, game):\n        self.character = "D"\n'
)


def test_a_new_character_extends_network_configuration_and_log(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, game=CHANGING, training_episodes=80, unknown_character_strategy="extend", seed=1)
    train_here(run)
    assert load_config(run.path).metadata.character_set == ("@", ">", "D")
    assert read_checkpoint(run, "final")["characters"] == ["@", ">", "D"]
    assert "The network was extended by 'D'" in run.log_path.read_text()
    assert count_greedy_turns(run) == 6
    update_config(run.path, {("hyperparameters", "training_episodes"): 85})
    train_here(run, resume="latest")
    assert run.log_path.read_text().count("The network was extended") == 1
    assert len(episodes_of(run)) == 85


def test_an_unknown_character_is_ignored_but_named(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, game=CHANGING, training_episodes=20)
    display = RecordingSink()
    train_here(run, display=display)
    text = run.log_path.read_text()
    assert text.count("'D' is not in character_set") == 1
    assert "'D' on " in text
    assert any("'D' is not in character_set" in remark for remark in display.remarks)
    assert load_config(run.path).metadata.character_set == ("@", ">")


class Stopper(RecordingSink):
    """Sends this process a signal once some episodes are over."""

    def __init__(self, number: signal.Signals, after_episodes: int) -> None:
        super().__init__()
        self.number = number
        self.after_episodes = after_episodes

    def on_progress(self, progress: Progress) -> None:
        if progress.episodes >= self.after_episodes and len(self.progresses) > 1:
            self.after_episodes = 10**9
            signal.raise_signal(self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_a_checkpoint_of_the_episode_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(training_loop, "REPORT_SECONDS", 0.0)
    run = make_corridor_run(tmp_path, training_episodes=60)
    outcome = train_here(run, display=Stopper(number, 12))
    assert (outcome.complete, outcome.signal_number) == (False, number)
    lines = episodes_of(run)
    assert 12 <= len(lines) < 60
    assert outcome.episodes == len(lines)
    assert outcome.checkpoint == f"ep_{len(lines):04d}"
    assert [file.name for file in run.checkpoints()] == [outcome.checkpoint]
    assert read_checkpoint(run, "latest")["episode"] == len(lines)
    train_here(run, resume="latest")
    assert len(episodes_of(run)) == 60
    assert [file.name for file in run.checkpoints()] == [outcome.checkpoint, "final"]


def test_a_time_limit_ends_a_run_that_counts_as_complete(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=1_000_000)
    outcome = train_here(run, minutes=0.3 / 60)
    assert outcome.complete
    assert outcome.checkpoint == "final"
    assert 0 < outcome.episodes == len(episodes_of(run))
    assert outcome.seconds < 10


@pytest.mark.parametrize(
    "options", [{"n_actors": -1}, {"minutes": 0}, {"minutes": -3}, {"minutes": math.nan}, {"minutes": math.inf}]
)
def test_options_out_of_range_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    run = make_corridor_run(tmp_path)
    with pytest.raises(UsageError, match=f"--{next(iter(options)).removeprefix('n_')}"):
        train_here(run, **options)
    assert not run.log_path.exists()


def test_a_run_being_trained_is_not_trained_twice(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    with RunLock(run.path), pytest.raises(RunExistsError, match="being trained"):
        train_here(run)


def test_no_run_and_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        train_here(RunDirectory(tmp_path / "nothing"))
    run = make_corridor_run(tmp_path)
    with pytest.raises(CheckpointNotFoundError):
        train_here(run, resume="latest")
    with pytest.raises(CheckpointNotFoundError):
        train_here(run, resume="ep_0100")


def test_a_damaged_checkpoint_is_not_resumed_from(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=3)
    train_here(run)
    path = run.checkpoints_dir / "final.pt"
    path.write_bytes(path.read_bytes()[:1000])
    log = run.log_path.read_bytes()
    with pytest.raises(CheckpointError, match=r"final\.pt"):
        train_here(run, resume="final")
    assert run.log_path.read_bytes() == log
    assert path.exists()


def test_a_configuration_that_does_not_fit_the_game_is_refused(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    update_config(run.path, {("metadata", "reward"): "points", ("metadata", "observe_state"): ["lives"]})
    with pytest.raises(ConfigurationError) as raised:
        train_here(run)
    assert {problem.field for problem in raised.value.problems} == {"reward", "observe_state"}
    assert not run.log_path.exists()


FAILING_LATER = (
    CORRIDOR.replace("class Walker:", "built = 0\n\nclass Walker:").replace(
        "def create_game():\n", "def create_game():\n    global built\n    built += 1\n"
    )
    + "\n\nGOOD_GAMES = 25\nright = create_game\n\ndef create_game():\n    game = right()\n"
    + "    if built > GOOD_GAMES:\n        game.agents[0].play_turn = lambda game: 1 / 0\n    return game\n"
)


def test_a_game_that_begins_to_fail_ends_the_run_with_a_checkpoint(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, game=FAILING_LATER, training_episodes=100)
    with pytest.raises(GameFailedError, match="ZeroDivisionError"):
        train_here(run)
    lines = episodes_of(run)
    assert 20 <= len(lines) <= 25
    assert read_checkpoint(run, "latest")["episode"] == len(lines)
    assert "ZeroDivisionError" in run.log_path.read_text()


def test_a_game_whose_turns_fail_now_and_then_is_trained_to_the_last_episode(tmp_path: Path) -> None:
    failing = CORRIDOR.replace(
        "    def handle_keystroke", '    def play_turn(self, game):\n        if game.turn_number == 21:\n'
        '            raise KeyError("level 2")\n\n    def handle_keystroke'
    )  # fmt: skip
    run = make_corridor_run(tmp_path, game=failing, training_episodes=60)
    train_here(run)
    lines = episodes_of(run)
    assert len(lines) == 60
    assert max(line.steps for line in lines) == 20
    text = run.log_path.read_text()
    assert text.count("KeyError: 'level 2'") == text.count("random games failed") + 1
    assert "cut short at its last good turn" in text
    assert count_greedy_turns(run) == 6


def test_a_game_given_as_a_function_trains_and_says_what_play_needs(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=5)
    namespace: dict[str, Any] = {}
    exec(CORRIDOR, namespace)
    train_here(run, factory=namespace["create_game"])
    assert len(episodes_of(run)) == 5
    assert "retro-gamer play" in run.log_path.read_text()


@pytest.mark.parametrize("observed", [[], ["lives"]])
@pytest.mark.parametrize("spatial", [True, False])
@pytest.mark.parametrize("strategy", ["ignore", "extend"])
def test_other_descriptions_train_too(tmp_path: Path, observed: list[str], spatial: bool, strategy: str) -> None:
    description = "\n".join(
        [
            "[tool.retro-gamer]",
            'actions = ["KEY_RIGHT", "KEY_LEFT", "x"]',
            'reward = "score"',
            f"observe_state = {observed}",
            f"spatial = {str(spatial).lower()}",
        ]
    )
    run_dir = make_run(
        tmp_path, description=description, training_episodes=8, learning_starts=20, batch_size=8,
        unknown_character_strategy=strategy, max_turns_per_episode=15, exploration_turns=1,
    )  # fmt: skip
    run = RunDirectory(run_dir)
    train_here(run)
    assert len(episodes_of(run)) == 8
    assert all(torch.isfinite(tensor).all() for tensor in weights_of(run).values())
