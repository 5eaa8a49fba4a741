import argparse
import random
import sys
from retro.game import Game
from retro.agent import ArrowKeyAgent

random.seed(7)

class Collector(ArrowKeyAgent):
    character = "c"
    def play_turn(self, game):
        if random.random() < 0.1:
            game.state["gems"] += 1
        if game.turn_number == 30:
            print("bye")
            sys.exit()

def start(width):
    Game([Collector()], {"gems": 0}, board_size=(width, 4)).play()

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, default=9)
start(parser.parse_args().width)
