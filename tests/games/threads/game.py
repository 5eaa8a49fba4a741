import threading
import time
from retro.game import Game
from retro.agent import ArrowKeyAgent

ticks = 0

def tick():
    global ticks
    while True:
        time.sleep(0.5)
        ticks += 1

threading.Thread(target=tick, daemon=True).start()

class Clockwork(ArrowKeyAgent):
    character = "c"
    def play_turn(self, game):
        game.state["ticks"] = ticks
        game.state["turns"] += 1
        if game.turn_number == 40:
            game.end()

Game([Clockwork()], {"ticks": 0, "turns": 0}, board_size=(5, 5)).play()
