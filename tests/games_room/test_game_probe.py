from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from retro_gamer.errors import GameFailedError
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.sandbox import temporary_folder_of
from retro_gamer.games.probe.fingerprint import fingerprint
from retro_gamer.games.probe.game_probe import Probe, ProbePlan

Project = Callable[[dict[str, str]], Path]
GAMES = Path(__file__).parents[1] / "games"


def find_out(game: str, **plan: object) -> Probe:
    values = {"turns": 300, "play_seconds": 5.0, "key_seconds": 1.5, **plan}
    return Probe(ProbePlan(source=find_source(game), **values))  # type: ignore[arg-type]


def test_what_snake_is_like() -> None:
    told: list[int] = []
    trial = find_out("retro.examples.snake")
    trial._report = told.append
    found = trial.run()
    assert (found.board_size, found.view_size, found.how) == ((32, 16), (32, 16), "create_game()")
    assert set(found.characters) <= set("@*<>^v")
    assert {"@", ">", "v"} <= set(found.characters)
    assert found.player == "Snake head"
    assert found.turns == 300
    assert found.state["apple_dx"].types == {"float"}
    assert found.state["energy"].high == 150
    assert sum(found.episode_turns) <= 300
    assert (found.repeats, found.ignores_seed, found.n_failures) == (True, False, 0)
    arrows = {"KEY_RIGHT", "KEY_UP", "KEY_LEFT", "KEY_DOWN"}
    assert {key for key, effects in found.keys.items() if effects.changed} == arrows
    assert told == sorted(told)
    assert told[-1] > 200


def test_keys_are_compared_with_doing_nothing_from_the_same_turn() -> None:
    found = find_out(str(GAMES / "still_score")).run()
    assert found.keys["a"].outcomes == found.keys["KEY_LEFT"].outcomes
    assert found.keys["a"].outcomes != found.keys["d"].outcomes
    assert (found.keys["h"].changed, found.keys[" "].changed) == (0, found.keys[" "].tries)
    assert found.keys[" "].tries > 3
    assert found.ignores_seed


def test_failures_are_reported_with_seed_turn_and_line() -> None:
    found = find_out(str(GAMES / "crashing"), seed=5).run()
    assert found.n_failures > 3
    failure = found.failures[0]
    assert failure.seed >= 5
    assert failure.turn > 0
    assert f"failed at turn {failure.turn}: game.py:" in failure.text
    assert any("iterable argument is empty" in failure.text or "max()" in failure.text for failure in found.failures)


def test_a_game_that_is_different_each_time_has_its_keys_left_untried(make_project: Project) -> None:
    text = (
        "import secrets\nfrom retro.game import Game\nfrom retro.agent import ArrowKeyAgent\n"
        "Game([ArrowKeyAgent()], {'luck': secrets.randbits(60)}).play()\n"
    )
    found = find_out(str(make_project({"game.py": text}))).run()
    assert (found.repeats, found.keys) == (False, {})


def test_a_game_that_cannot_be_built_is_an_error() -> None:
    with pytest.raises(GameFailedError, match="a_package_nobody_has"):
        find_out(str(GAMES / "needs_package"))


def test_a_game_slow_to_be_built_is_built_once_and_played_in_the_time_of_its_keys(make_project: Project) -> None:
    text = (
        "from retro.game import Game\nfrom retro.agent import ArrowKeyAgent\n"
        "def create_game():\n    with open('built.txt', 'a') as file:\n        file.write('x')\n"
        "    return Game([ArrowKeyAgent()], {'score': 0})\n"
    )
    source = find_source(str(make_project({"game.py": text})))
    plan = ProbePlan(source=source, turns=10**6, most_turns_per_episode=10**6, play_seconds=0.02, key_seconds=0.04)
    trial = Probe(plan)
    trial.findings.start_seconds = 0.05
    found = trial.run()
    assert found.turns > 1
    assert (found.repeats, found.keys, found.cut_short) == (None, {}, 1)
    scratch = temporary_folder_of(source)
    assert scratch is not None
    assert (Path(scratch.path) / "built.txt").read_text() == "x"


def test_a_fingerprint_tells_moments_apart_but_not_what_is_logged() -> None:
    from retro.agent import ArrowKeyAgent
    from retro.game import Game

    agent = ArrowKeyAgent()
    game = Game([agent], {"score": 0})
    game.start()
    first = fingerprint(game)
    game.log("hello")
    assert fingerprint(game) == first
    seen = {first}
    for change in (
        lambda: game.state.__setitem__("score", 1),
        lambda: setattr(agent, "position", (1, 0)),
        lambda: setattr(agent, "character", "x"),
        lambda: setattr(agent, "display", False),
        lambda: setattr(game, "view_position", (1, 1)),
        game.end,
    ):
        change()
        seen.add(fingerprint(game))
    assert len(seen) == 7
