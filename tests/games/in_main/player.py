from retro.agent import ArrowKeyAgent
from board import GOAL

class Player(ArrowKeyAgent):
    character = "P"
    def play_turn(self, game):
        if self.position == GOAL:
            game.state["score"] += 10
            game.end()
