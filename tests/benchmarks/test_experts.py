from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from retro.examples import nav, snake

from benchmarks.learning import experts
from benchmarks.learning.games import TASKS, evaluation_seeds, measure_yardsticks, normalise


@pytest.mark.parametrize(("name", "at_least"), [("snake-score", 20 * 50), ("nav-score", 400)])
def test_experts_play_far_better_than_random_keys(name: str, at_least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.learning.games.MAX_TURNS", 600)
    found = measure_yardsticks(TASKS[name], games=2)
    assert found["expert"]["mean"] >= at_least
    assert found["expert"]["mean"] > 3 * abs(found["random"]["mean"])


def test_a_game_without_an_expert_has_random_keys_only() -> None:
    task = dataclasses.replace(TASKS["beast-score"], game="retro.examples.labyrinth")
    assert task.game not in experts.EXPERTS
    assert normalise(5.0, 1.0, None) is None


def test_normalised_score_is_0_at_random_1_at_the_expert_and_linear() -> None:
    assert [normalise(score, 100.0, 300.0) for score in (100.0, 300.0, 50.0, 250.0)] == [0.0, 1.0, -0.25, 0.75]


def test_the_seeds_are_those_of_the_command() -> None:
    assert evaluation_seeds(3) == [1_000_003, 1_000_004, 1_000_005]


def make_snake(head: tuple[int, int], apple: tuple[int, int], *body: tuple[int, int]) -> Any:
    game = snake.create_game()
    agent = game.get_agent_by_name("Snake head")
    agent.position = head
    game.get_agent_by_name("Apple").position = apple
    for number, cell in enumerate(body, start=1):
        segment = snake.SnakeBodySegment(number, cell)
        game.add_agent(segment)
        agent.next_segment, agent = segment, segment
    return game


def test_the_snake_goes_straight_to_an_apple_it_can_reach() -> None:
    assert experts.choose_snake_key(make_snake((5, 5), (8, 5))) == "KEY_RIGHT"
    assert experts.choose_snake_key(make_snake((5, 5), (5, 2))) == "KEY_UP"


def test_the_snake_goes_round_itself() -> None:
    # Three segments lie between the head and the apple; the shortest way round them begins upwards.
    game = make_snake((5, 5), (8, 5), (5, 6), (6, 6), (6, 5), (6, 4), (7, 4))
    assert experts.choose_snake_key(game) in ("KEY_UP", "KEY_LEFT")


def test_a_cell_is_free_once_the_body_has_moved_on() -> None:
    line = [(2, 0), (1, 0), (0, 0)]
    # The tail leaves (0, 0) after the first move, so it can be entered with the second but not with the first.
    assert experts._find_way([(0, 1), *line], (0, 0), (4, 2)) != [(0, 0)]
    assert experts._find_way([(1, 1), *line], (0, 0), (4, 2)) == [(0, 1), (0, 0)]


def make_nav(turn: int, ship: tuple[int, int], *asteroids: tuple[int, int]) -> Any:
    game = nav.create_game()
    game.turn_number = turn
    game.get_agent_by_name("ship").position = ship
    for cell in asteroids:
        game.add_agent(nav.Asteroid(cell))
    return game


def test_the_ship_leaves_a_column_that_is_about_to_be_hit() -> None:
    # The next turn is even: the asteroid one row above falls onto the ship.
    assert experts.choose_nav_key(make_nav(1, (12, 24), (12, 23))) in ("KEY_LEFT", "KEY_RIGHT")


def test_the_ship_does_not_move_below_an_asteroid_nor_into_one() -> None:
    assert experts.choose_nav_key(make_nav(1, (12, 24), (12, 23), (11, 23))) == "KEY_RIGHT"
    assert experts.choose_nav_key(make_nav(0, (0, 24), (0, 23), (1, 24))) is None  # the way is free in two turns
