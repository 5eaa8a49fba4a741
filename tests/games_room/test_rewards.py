from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from retro.agent import ArrowKeyAgent
from retro.errors import IllegalMove
from retro.game import Game

from retro_gamer.games.description import GameMetadata
from retro_gamer.games.rewards import describe_reward, is_win, make_signal, reward_end, worth_of_end
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
    ],
)
def test_the_first_line_that_holds_counts(
    end: dict[str, float], state: dict[str, Any], messages: list[str], worth: float
) -> None:
    assert worth_of_end(over(state, *messages), end) == worth


@pytest.mark.parametrize(
    ("state", "messages", "worth"),
    [
        ({"message": "The winner is you"}, [], 1),
        ({"message": "through the window"}, [], -1),
        ({}, [], -1),
        ({"message": ""}, ["You win!"], 1),
        ({"message": "The zombies win!"}, [], -1),
        ({}, ["You won level 1", "You lose"], -1),
        ({}, ["You lose a life", "You win"], 1),
        ({"outcome": "Left wins"}, [], 1),
        ({"outcome": "Right wins"}, [], -1),
    ],
)
def test_without_rules_only_a_win_of_the_player_counts(
    state: dict[str, Any], messages: list[str], worth: float
) -> None:
    class Left(ArrowKeyAgent):
        name = "left"

    game = over(state, *messages)
    game.agents = [Left()]
    assert reward_end(game) == worth


WINS = """You win! | The winner is you | Victory! | Game over, you won | Congratulations! You've won! | Player 1 wins
WIN | Winner: you | The player has won the game | Great game, you win | Flawless victory"""
NO_WINS = """The zombies win! | Player 2 wins | P2 wins | Player two wins | computer wins | you did not win
You didn't win | You don’t win | no one wins | Nobody won | through the window | Victory for the computer
Collect 3 to win | O wins
the red side won | Your opponent wins | The AI has won this round. You lose | Winner: computer | You almost won"""


@pytest.mark.parametrize("text", WINS.replace("\n", " | ").split(" | "))
def test_a_win_of_the_player(text: str) -> None:
    assert is_win(text)


@pytest.mark.parametrize("text", NO_WINS.replace("\n", " | ").split(" | "))
def test_a_win_of_someone_else_or_nobody(text: str) -> None:
    assert not is_win(text)


def test_a_name_tells_whose_win_it_is() -> None:
    assert is_win("Player 2 wins", ["Player 2"])
    assert not is_win("Player 1 wins", ["player_2"])
    assert is_win("Red wins", ["red"])
    assert not is_win("Blue wins", ["red"])


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
