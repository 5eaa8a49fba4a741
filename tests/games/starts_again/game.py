from random import random
from retro.game import Game
from retro.agent import ArrowKeyAgent

class Lemming(ArrowKeyAgent):
    character = "l"
    def play_turn(self, game):
        game.state["score"] += 1
        if random() < 0.1:
            game.state["score"] -= 5
            main()

def main():
    game = Game([Lemming()], {"score": 0}, board_size=(6, 2))
    game.play()

main()
