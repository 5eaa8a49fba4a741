from .game import Lander, Ground
from retro.game import Game

class App:
    def start(self):
        Game([Lander(), Ground()], {"fuel": 60, "landed": 0}, board_size=(12, 12)).play()

app = App()
