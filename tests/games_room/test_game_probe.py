from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from retro.agent import ArrowKeyAgent
from retro.game import Game

from retro_gamer.errors import GameFailedError
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.sandbox import temporary_folder_of
from retro_gamer.games.probe.fingerprint import are_alike, fingerprint, remembered, without_keys
from retro_gamer.games.probe.game_probe import Probe, ProbePlan
from tests.games_room.conftest import PLAIN_GAME

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


HERO = """
class Hero(ArrowKeyAgent):
    def play_turn(self, game):
        if game.turn_number == 9:
            game.state["message"] = "Time is up"
            game.end()
"""


def test_a_text_that_appears_in_the_last_turn_is_a_change(make_project: Project) -> None:
    text = PLAIN_GAME.replace("ArrowKeyAgent()]", "Hero()]") + HERO
    found = find_out(str(make_project({"game.py": text})), turns=90).run()
    assert found.state["message"].changes == len(found.episode_turns) == 10


def test_what_agents_remember_is_compared_but_not_which_key() -> None:
    first = [["last", "a"], ["aim", "1"], ["history", ["KEY_F63", "a"]]]
    assert are_alike(first, [["last", "KEY_F63"], ["aim", "1"], ["history", ["KEY_F63", "KEY_F63"]]], {"a", "KEY_F63"})
    assert not are_alike(first, [["last", "b"], ["aim", "1"], ["history", ["KEY_F63", "a"]]], {"a", "KEY_F63"})
    assert not are_alike(first, [["last", "a"], ["aim", "-1"], ["history", ["KEY_F63", "a"]]], {"a", "KEY_F63"})
    assert without_keys(first, {"a", "KEY_F63"}) == [["last", "(key)"], ["aim", "1"], ["history", ["(key)", "(key)"]]]


def test_attributes_have_no_addresses_and_no_circles() -> None:
    def build() -> Game:
        agent, other = ArrowKeyAgent(), ArrowKeyAgent()
        other.name = "other"
        agent.enemy, agent.bag, agent.me, agent.made_of = other, {"b", "a"}, agent, object()
        game = Game([agent, other], {})
        game.secret = [agent]
        return game

    game = build()
    assert remembered(game) == remembered(build())
    game.agents[0].bag.add("c")
    assert remembered(game) != remembered(build())
