"""A player who collects coins: the game that the documentation calls my_game.py."""

from random import randint

from retro.agent import ArrowKeyAgent
from retro.game import Game


class Coin:
    name = "coin"
    character = "$"

    def __init__(self):
        self.position = (randint(0, 11), randint(0, 7))


class Player(ArrowKeyAgent):
    name = "player"
    character = "&"

    def play_turn(self, game):
        coin = game.get_agent_by_name("coin")
        if self.position == coin.position:
            coin.position = (randint(0, 11), randint(0, 7))
            game.state["coins"] += 1
        game.state["time"] -= 1
        if game.state["time"] == 0:
            game.end()


def create_game():
    return Game([Player(), Coin()], {"coins": 0, "time": 40}, board_size=(12, 8))
