import json
import os
from pathlib import Path
from retro.game import Game
from retro.agent import ArrowKeyAgent

HERE = os.path.dirname(os.path.abspath(__file__))
LEVEL = open("levels/one.txt").read().splitlines()
NAMES = Path(HERE, "levels", "names.txt").read_text().split()

class Wall:
    character = "#"
    def __init__(self, position):
        self.position = position

class Digger(ArrowKeyAgent):
    character = "d"
    position = (1, 1)
    def try_to_move(self, position, game):
        if game.is_empty(position):
            super().try_to_move(position, game)
            game.state["depth"] = self.position[1]
    def play_turn(self, game):
        with open("log.txt", "a") as log:
            log.write("turn\n")
        if game.turn_number == 20:
            with open(os.path.join(HERE, "scores.json"), "w") as f:
                json.dump({NAMES[0]: game.state["depth"]}, f)
            game.end()

walls = [Wall((x, y)) for y, row in enumerate(LEVEL) for x, c in enumerate(row) if c == "#"]
game = Game([Digger()] + walls, {"depth": 1}, board_size=(7, 5), log_file="game.log", dump_state="state.json")
game.play()
