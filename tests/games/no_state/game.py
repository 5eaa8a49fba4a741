from random import randint
from retro.game import Game
from retro.agent import ArrowKeyAgent

class Rock:
    character = "O"
    def __init__(self, x):
        self.position = (x, 0)
    def play_turn(self, game):
        x, y = self.position
        if y == 5:
            game.remove_agent(self)
        elif (x, y + 1) == player.position:
            game.end()
        else:
            self.position = (x, y + 1)

class Rocks:
    display = False
    def play_turn(self, game):
        if game.turn_number % 2:
            game.add_agent(Rock(randint(0, 4)))

class Player(ArrowKeyAgent):
    name = "player"
    character = "A"
    position = (2, 5)

player = Player()
Game([player, Rocks()], {}, board_size=(5, 6)).play()
