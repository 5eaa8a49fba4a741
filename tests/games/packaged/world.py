from retro.game import Game
from .being import Being

def build(size=(6, 6)):
    return Game([Being()], {"energy": 20.0}, board_size=size)
