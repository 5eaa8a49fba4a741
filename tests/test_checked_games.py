"""What `check` finds out about games whose keys, rewards or players are hard to see.

Each game of CHECKED is a folder of tests/games. The findings are those of one process.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from retro_gamer.cli.commands.check import check_game
from retro_gamer.cli.display.check_text import CheckReport, find_remarks, to_lines
from retro_gamer.driver.creation import create_run
from retro_gamer.errors import ConfigurationError
from retro_gamer.games.description import DescriptionPlace, complete_description, find_description_place
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.watchdog import Watchdog
from retro_gamer.games.probe import workers
from retro_gamer.games.probe.findings import ProbeFindings
from retro_gamer.games.probe.game_probe import Probe, ProbePlan
from retro_gamer.run.config import load_config
from retro_gamer.training.planning import measurements
from retro_gamer.training.preparation import prepare_run

GAMES = Path(__file__).parent / "games"
ARROWS = "KEY_RIGHT KEY_UP KEY_LEFT KEY_DOWN"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Right:
    """What is right for a game: its keys and the reward to propose (None for none); the player that training finds."""

    keys: str
    reward: str | None
    has_player: bool = True


CHECKED = {
    "aiming": Right(keys="KEY_LEFT KEY_RIGHT space", reward="score"),
    "any_key": Right(keys="space", reward="pipes"),
    "capitals": Right(keys="a d w", reward="crossed"),
    "chance_comes_late": Right(keys="KEY_LEFT KEY_RIGHT", reward="score"),
    "crashing_keys": Right(keys="", reward="@turns"),
    "key_codes": Right(keys="KEY_LEFT KEY_RIGHT", reward="gates"),
    "keys_in_a_table": Right(keys="a d s w", reward="score"),
    "keys_passed_on": Right(keys="a d", reward="score"),
    "many_take_keys": Right(keys="KEY_UP 0 1 2 3 4 5 6 7 8 9", reward="landed", has_player=False),
    "matched_keys": Right(keys=ARROWS, reward="score"),
    "nothing_to_win": Right(keys=ARROWS, reward=None),
    "others_win": Right(keys="KEY_LEFT KEY_RIGHT", reward="@turns"),
    "player_comes_late": Right(keys="KEY_DOWN KEY_UP", reward="score"),
    "remembers_keys": Right(keys="j u", reward="depth"),
    "table_of_functions": Right(keys="KEY_LEFT KEY_RIGHT", reward="visited"),
    "two_ways": Right(keys=ARROWS, reward="mice"),
}


def check(folder: Path | str) -> CheckReport:
    return check_game(str(folder), turns=2000, seconds=20, seed=0, n_processes=1, report=lambda turns: None)


@pytest.fixture(autouse=True)
def probe_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probe games in this process, and estimate no cost."""

    def probe(plan: ProbePlan, n_processes: int, report: Callable[[int], None]) -> ProbeFindings:
        with Watchdog(plan.hang_seconds):
            return Probe(plan, report).run()

    monkeypatch.setattr(workers, "probe_in_processes", probe)
    monkeypatch.setattr(measurements, "estimate_cost", lambda metadata, source, findings: None)


def place_of(game: Path) -> DescriptionPlace:
    return find_description_place(find_source(str(game)))


@pytest.mark.parametrize("name", CHECKED)
def test_what_is_proposed_is_right_and_opens_a_run(name: str, tmp_path: Path) -> None:
    right = CHECKED[name]
    folder = shutil.copytree(GAMES / name, tmp_path / name)
    checked = check(folder)
    assert {key.replace(" ", "space") for key in checked.proposed.get("actions", ())} == set(right.keys.split())
    assert checked.proposed.get("reward") == right.reward
    assert "player" not in checked.proposed, "the first agent that handles keys is right, or none is"
    if name == "crashing_keys":
        return
    path = folder / "pyproject.toml"
    path.write_text(complete_description(place_of(folder), {"reward": "@turns", **checked.proposed})[0])
    run = create_run(str(folder), tmp_path / "run", {}).directory
    assert prepare_run(run, load_config(run.path)).random_play.has_player == right.has_player
    assert (checked.findings.player is not None) == right.has_player


def test_the_same_seed_finds_the_same() -> None:
    first, second = (check(GAMES / "aiming").findings for _ in range(2))
    for found in (first, second):
        found.seconds = found.start_seconds = 0.0
    assert first == second


def test_a_game_that_fails_at_each_key_gets_its_error_first() -> None:
    checked = check(GAMES / "crashing_keys")
    lines = list(to_lines(checked))
    assert "7 of 7 games failed, for example: " in lines[1]
    assert "game.py:8: AttributeError: 'Keystroke' object has no attribute 'nmae'" in lines[1]
    assert "speed" not in " ".join(lines)
    assert len(checked.findings.failing_keys) == len(checked.findings.swept)
    assert "actions" not in checked.proposed


def test_that_nothing_can_be_won_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    folder = shutil.copytree(GAMES / "nothing_to_win", tmp_path / "game")
    checked = check(folder)
    (obstacle,) = checked.obstacles
    assert "no reward was found that tells a good game from a bad one" in obstacle
    assert '"@turns" paid 2,000 in the only game' in obstacle
    path = folder / "pyproject.toml"
    path.write_text(complete_description(place_of(folder), checked.proposed)[0])
    with pytest.raises(ConfigurationError, match="reward"):
        create_run(str(folder), tmp_path / "run", {})
    path.write_text(path.read_text() + 'reward = "@turns"\n')
    assert check(folder).obstacles == (), "what the user has decided is a remark"
    assert any("none of 1 did" in remark for remark in find_remarks(check(folder)))


LEAF = """\
from random import random
from retro.game import Game

class Leaf:
    character = "l"
    position = (3, 0)
    def play_turn(self, game):
        game.state["luck"] += random() < 0.1
        if game.turn_number == 50:
            game.end()

Game([Leaf()], {"luck": 0}, board_size=(7, 7)).play()
"""


def test_a_game_in_which_no_key_acts_is_named_an_obstacle_and_described_without_keys(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text(LEAF)
    checked = check(tmp_path / "game.py")
    (obstacle,) = checked.obstacles
    assert f"none of the {len(checked.findings.swept)} keys that were pressed changed anything" in obstacle
    assert len(checked.findings.swept) > 300
    path = tmp_path / "pyproject.toml"
    path.write_text(complete_description(place_of(tmp_path / "game.py"), checked.proposed)[0])
    with pytest.raises(ConfigurationError, match="actions"):
        create_run(str(tmp_path / "game.py"), tmp_path / "run", {})


def test_what_was_compared_is_reported() -> None:
    assert not check(GAMES / "chance_comes_late").findings.ignores_seed
    checked = check(GAMES / "keys_in_a_table")
    (remark,) = (remark for remark in find_remarks(checked) if "chance" in remark)
    assert "(6 games of up to 1,000 turns were compared)" in remark


def test_each_reward_is_listed_with_what_it_would_have_paid() -> None:
    lines = " ".join(to_lines(check(GAMES / "others_win")))
    assert '"@turns" paid 3 in the worst and' in lines
    assert '"@end" paid -1 in each of' in lines
