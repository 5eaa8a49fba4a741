import time
from blessed import Terminal
from retro.game import Game
from retro.agent import ArrowKeyAgent

term = Terminal()

class Fish(ArrowKeyAgent):
    character = "\U0001f41f"
    def play_turn(self, game):
        game.state["bubbles"] += self.position[0] % 2
        if game.turn_number == 30:
            game.end()

def title():
    with term.fullscreen(), term.cbreak():
        print(term.clear + term.bold("FISH"))
        print("press any key")
        term.inkey()
    for _ in range(3):
        time.sleep(1)

title()
Game([Fish()], {"bubbles": 0}, board_size=(8, 4)).play()
