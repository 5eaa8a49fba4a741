from random import randint
from retro.game import Game
from retro.agent import ArrowKeyAgent

WIDTH, HEIGHT = 5, 4

class Coin:
    name = "coin"
    character = "$"
    position = (2, 1)

class Player(ArrowKeyAgent):
    name = "player"
    character = "@"
    def play_turn(self, game):
        if self.position == coin.position:
            coin.position = (randint(0, WIDTH - 1), randint(0, HEIGHT - 1))
            game.state["score"] += 1
        if game.turn_number == 40:
            game.end()

coin = Coin()
game = Game([Player(), coin], {"score": 0}, board_size=(WIDTH, HEIGHT))
print("Get ready!")
game.play()
print("You got", game.state["score"])
