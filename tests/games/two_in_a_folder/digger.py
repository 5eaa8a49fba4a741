from random import randint
from retro.game import Game

class Digger:
    name = "digger"
    character = "D"
    position = (5, 5)
    def handle_keystroke(self, keystroke, game):
        steps = {"a": (-1, 0), "d": (1, 0), "w": (0, -1), "s": (0, 1)}
        if str(keystroke) in steps:
            x, y = self.position
            step = steps[str(keystroke)]
            place = ((x + step[0]) % 8, (y + step[1]) % 8)
            self.position = place
            for agent in game.agents:
                if agent.character == "$" and agent.position == place:
                    game.state["gold"] += 5
                    agent.position = (randint(0, 7), randint(0, 7))
    def play_turn(self, game):
        if game.turn_number > 80:
            game.end()

class Gold:
    character = "$"
    def __init__(self):
        self.position = (randint(0, 7), randint(0, 7))

def play():
    Game([Digger(), *[Gold() for i in range(6)]], {"gold": 0}, board_size=(8, 8)).play()

play()
