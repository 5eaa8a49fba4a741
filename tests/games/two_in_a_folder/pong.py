from random import choice
from retro.game import Game

class Paddle:
    name = "paddle"
    character = "="
    position = (4, 9)
    def handle_keystroke(self, keystroke, game):
        x, y = self.position
        if keystroke.name == "KEY_LEFT" and x > 0:
            self.position = (x - 1, y)
        if keystroke.name == "KEY_RIGHT" and x < 9:
            self.position = (x + 1, y)

class Ball:
    name = "ball"
    character = "o"
    def __init__(self):
        self.position = (5, 1)
        self.step = (choice([-1, 1]), 1)
    def play_turn(self, game):
        x, y = self.position[0] + self.step[0], self.position[1] + self.step[1]
        if not 0 <= x <= 9:
            self.step = (-self.step[0], self.step[1])
            x = self.position[0]
        if y == 8 and abs(game.agents[0].position[0] - x) <= 2:
            game.state["hits"] += 1
            self.step = (self.step[0], -1)
        if y < 1:
            self.step = (self.step[0], 1)
        if y > 9:
            game.end()
        else:
            self.position = (x, max(0, y))

if __name__ == "__main__":
    Game([Paddle(), Ball()], {"hits": 0}, board_size=(10, 10)).play()
