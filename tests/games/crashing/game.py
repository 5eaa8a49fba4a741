from random import random
from retro.game import Game
from retro.agent import ArrowKeyAgent

class Glass(ArrowKeyAgent):
    name = "glass"
    character = "g"
    def play_turn(self, game):
        game.state["score"] += 1
        here = game.get_agents_by_position()[(0, 0)]
        if random() < 0.05:
            max([agent.z for agent in game.get_agents_by_position()[(-1, -1)]])
        if random() < 0.05:
            game.add_agent(Glass())

def create_game():
    return Game([Glass()], {"score": 0}, board_size=(6, 3))
