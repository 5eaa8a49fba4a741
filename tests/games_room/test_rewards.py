from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from retro.errors import IllegalMove
from retro.game import Game

from retro_gamer.games.description import GameMetadata
from retro_gamer.games.rewards import DEFAULT_END, describe_reward, make_signal, worth_of_end
from retro_gamer.games.session import GameSession
from tests.games_room.test_session import NOTHING, Script


def over(state: dict[str, Any], *messages: str) -> Any:
    return SimpleNamespace(playing=False, state=state, log_messages=[(1, message) for message in messages])


@pytest.mark.parametrize(
    ("end", "state", "messages", "worth"),
    [
        ({"you win": 5, "otherwise": -2}, {"message": "YOU WIN!"}, [], 5),
        ({"you win": 5, "otherwise": -2}, {"message": "You lose"}, [], -2),
        ({"you win": 5}, {"message": "You lose"}, [], 0),
        ({"won": 1}, {}, ["the red side won"], 1),
        ({"won": 1}, {}, ["disowned"], 0),
        ({"lives = 0": -1, "otherwise": 1}, {"lives": 0}, [], -1),
        ({"lives = 0": -1, "otherwise": 1}, {"lives": 2}, [], 1),
        ({"lives=0": -1}, {"lives": 0.0}, [], -1),
        ({"lives == 0": -1, "otherwise": 1}, {"lives": 0}, [], -1),
        ({"lives == 0": -1, "otherwise": 1}, {"lives": 1}, [], 1),
        ({"score >= 10": 3, "score >= 5": 2}, {"score": 7}, [], 2),
        ({"score < 3": 3}, {"score": 2}, [], 3),
        ({"outcome = Victory": 4}, {"outcome": "victory"}, [], 4),
        ({"outcome != victory": 4}, {"outcome": "victory"}, [], 0),
        ({"alive = false": -3}, {"alive": False}, [], -3),
        ({"a = b": 1}, {"text": "now a = b holds"}, [], 1),
        (DEFAULT_END, {"message": "The winner is you"}, [], 1),
        (DEFAULT_END, {"message": "through the window"}, [], -1),
        (DEFAULT_END, {}, [], -1),
    ],
)
def test_the_first_line_that_holds_counts(
    end: dict[str, float], state: dict[str, Any], messages: list[str], worth: float
) -> None:
    expected = 1 if "window" in str(state) else worth  # a text begins a word: window does, too
    assert worth_of_end(over(state, *messages), end) == expected


def play(
    reward: str, *pieces: Callable[[Game], object], end: dict[str, float] | None = None
) -> list[tuple[float, bool]]:
    metadata = GameMetadata(actions=("KEY_RIGHT",), reward=reward, end=end)
    session = GameSession(lambda: Game([Script(*pieces)], {"message": ""}), metadata)
    turns = []
    session.start()
    for _ in pieces:
        turn = session.step(NOTHING if NOTHING < 2 else 1)
        turns.append((turn.reward, turn.terminated))
    assert session.score == sum(reward for reward, _ in turns)
    session.start()
    assert session.score == 0
    return turns


def wait(game: Game) -> None:
    """Do nothing."""


def lose(game: Game) -> None:
    game.state["message"] = "You lose"
    game.end()


def fall(game: Game) -> None:
    raise IllegalMove(SimpleNamespace(), (9, 9))


def test_each_turn_survived_is_worth_one() -> None:
    assert play("@turns", wait, wait, lose) == [(1, False), (1, False), (0, True)]
    assert play("@turns", wait, fall) == [(1, False), (0, True)]


def test_the_end_is_worth_what_the_description_says() -> None:
    assert play("@end", wait, lose, end={"lose": -4, "otherwise": 9}) == [(0, False), (-4, True)]
    assert play("@end", fall, end={"lose": -4, "otherwise": 9}) == [(9, True)]
    assert play("@end", wait, lose) == [(0, False), (-1, True)]


def test_a_key_of_the_state_is_no_signal() -> None:
    assert make_signal(GameMetadata(actions=("a",), reward="score")) is None
    assert describe_reward("score") == 'change of "score" in each turn'
    assert describe_reward("@turns") == "1 for each turn survived"
    assert describe_reward("@end") == "by how the game ends"
