from retro.game import Game
from retro.agent import ArrowKeyAgent

class Snail(ArrowKeyAgent):
    character = "@"
    def play_turn(self, game):
        game.add_agent(Slime(self.position))
        game.log("another one, that makes " + str(len(game.agents)))
        game.state["slime"] = len(game.agents)

class Slime:
    character = "."
    z = -1
    def __init__(self, position):
        self.position = position

def play():
    Game([Snail()], {"slime": 0}, board_size=(9, 5)).play()
