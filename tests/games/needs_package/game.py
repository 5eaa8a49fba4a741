import a_package_nobody_has
from retro.game import Game

Game([], {}).play()
