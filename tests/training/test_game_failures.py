"""What games do wrong, each trained in this process to its last episode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from retro_gamer.errors import GameFailedError
from retro_gamer.learning.checkpoint import load_checkpoint
from retro_gamer.run.directory import RunDirectory
from tests.training.corridors import CORRIDOR, DESCRIPTION, episodes_of, make_corridor_run, train_here
from tests.training.stand_ins import RecordingSink

FEW: dict[str, Any] = {"training_episodes": 12, "learning_starts": 20, "batch_size": 8, "max_turns_per_episode": 15}


def in_turn(code: str, *, before: str = "") -> str:
    """Return the corridor with a hidden agent that runs `code` each turn."""
    body = "\n".join(f"        {line}" for line in code.splitlines())
    agent = f"\n{before}\nclass Trouble:\n    display = False\n    def play_turn(self, game):\n{body}\n"
    return CORRIDOR.replace("Door()]", "Door(), Trouble()]").replace("def create_game", f"{agent}\ndef create_game")


def train_few(tmp_path: Path, game: str, **settings: Any) -> tuple[RunDirectory, RecordingSink]:
    run = make_corridor_run(tmp_path, game=game, **{**FEW, **settings})
    display = RecordingSink()
    assert train_here(run, display=display).complete
    assert len(episodes_of(run)) == FEW["training_episodes"]
    model = load_checkpoint(run.resolve_checkpoint("final").path.read_bytes(), "final")["model_state_dict"]
    assert all(torch.isfinite(tensor).all() for tensor in model.values())
    return run, display


UNREADABLE = ["'lots'", "None", "float('nan')", "float('inf')", "-1e308", "[1]"]


@pytest.mark.parametrize("value", UNREADABLE)
def test_a_reward_that_is_no_number_counts_as_unchanged_and_is_said_once(tmp_path: Path, value: str) -> None:
    run, display = train_few(tmp_path, in_turn(f"game.state['score'] = {value}"))
    assert {line.total_reward for line in episodes_of(run)} == {0.0}
    assert len([remark for remark in display.remarks if "counts as unchanged" in remark]) == 1


def test_a_reward_that_is_missing_counts_as_unchanged(tmp_path: Path) -> None:
    game = in_turn("if game.turn_number > 2: dict.pop(game.state, 'score', None)").replace(
        'game.state["score"] += 10', "pass"
    )
    run, display = train_few(tmp_path, game)
    assert {line.total_reward for line in episodes_of(run)} == {0.0}
    assert len([remark for remark in display.remarks if "is missing from the state" in remark]) == 1


def test_an_illegal_move_ends_a_game_and_is_no_failure(tmp_path: Path) -> None:
    game = CORRIDOR.replace("x = max(0, x +", "x = (x +").replace("(-1)", "")
    run, display = train_few(tmp_path, game)
    assert min(line.steps for line in episodes_of(run)) < 6  # it left the board to the left
    assert not [remark for remark in display.remarks if "failed" in remark or "cut short" in remark]


def test_a_game_that_never_ends_is_cut_short(tmp_path: Path) -> None:
    run, _ = train_few(tmp_path, CORRIDOR.replace("game.end()", "self.position = (0, 0)"))
    assert {line.steps for line in episodes_of(run)} == {15}


def test_a_game_that_ends_with_its_first_turn_is_played_all_the_same(tmp_path: Path) -> None:
    run, _ = train_few(tmp_path, in_turn("game.end()"), learning_starts=0)
    assert {line.steps for line in episodes_of(run)} == {1}


def test_a_game_that_reseeds_the_global_random_does_not_make_the_agents_choices(tmp_path: Path) -> None:
    code = "random.seed(1)\nnumpy.random.seed(1)"
    run, _ = train_few(tmp_path, in_turn(code, before="import random, numpy"))
    assert len({line.steps for line in episodes_of(run)}) > 2


def test_no_control_sequence_reaches_log_or_terminal(tmp_path: Path) -> None:
    escape = "\\x1b[2J\\x07\\x9b31m"
    code = f"game.state['{escape}'] = '{escape}'\ngame.agents[1].character = '{escape}D'\n"
    code += f"if game.turn_number == 4: raise KeyError('{escape}')"
    run, display = train_few(tmp_path, in_turn(code))
    said = "\n".join([run.log_path.read_text(), *display.texts, *display.remarks])
    assert "KeyError" in said
    assert not [c for c in said if not (c.isprintable() or c in "\n\t")]


ONE_CELL = """\
from retro.game import Game

class Dot:
    name = "dot"
    character = "@"
    position = (0, 0)

    def handle_keystroke(self, keystroke, game):
        game.state["score"] += keystroke.name == "KEY_RIGHT"

    def play_turn(self, game):
        if game.turn_number == 5:
            game.end()

def create_game():
    return Game([Dot()], {"score": 0}, board_size=(1, 1))
"""


@pytest.mark.parametrize("spatial", ["true", "false"])
def test_a_board_of_one_cell(tmp_path: Path, spatial: str) -> None:
    description = f"{DESCRIPTION}spatial = {spatial}\n"
    run, _ = train_few(tmp_path, ONE_CELL, description=description)
    assert {line.steps for line in episodes_of(run)} == {5}


def test_a_large_board_is_trained_and_its_memory_said_first(tmp_path: Path) -> None:
    game = CORRIDOR.replace("board_size=(7, 1)", "board_size=(400, 200)")
    _, display = train_few(tmp_path, game, memory_capacity=20_000, learning_starts=100, snapshot_megabytes=1)
    assert [remark for remark in display.remarks if "Replay memory will take" in remark and "400x200" in remark]


def test_a_board_that_changes_its_size_shows_what_fits(tmp_path: Path) -> None:
    train_few(tmp_path, in_turn("game.board_size = (3 + game.turn_number % 9, 1 + game.turn_number % 3)"))


def test_a_game_whose_every_first_turn_fails_stops_naming_the_line(tmp_path: Path) -> None:
    game = in_turn("if built[0] > 40: [][1]", before="built = [0]")
    game = game.replace("def create_game():\n", "def create_game():\n    built[0] += 1\n")
    run = make_corridor_run(tmp_path, game=game, **{**FEW, "training_episodes": 1000})
    with pytest.raises(GameFailedError, match=r"20 times in a row .*game\.py:\d+: IndexError"):
        train_here(run)
    assert run.has_checkpoints
