from random import choice
from retro.game import Game

class Frog:
    """Caps lock does not matter."""
    character = "f"
    position = (3, 6)
    def handle_keystroke(self, keystroke, game):
        key = keystroke.lower()
        x, y = self.position
        if key == "w":
            self.position = (x, y - 1)
        elif key == "a" and x > 0:
            self.position = (x - 1, y)
        elif key == "d" and x < 6:
            self.position = (x + 1, y)
        if self.position[1] == 0:
            game.state["crossed"] += 1
            self.position = (3, 6)

class Truck:
    character = "t"
    position = (0, 3)
    def play_turn(self, game):
        self.position = ((self.position[0] + choice((0, 1))) % 7, 3)
        if self.position == game.agents[0].position:
            game.end()

game = Game([Frog(), Truck()], {"crossed": 0}, board_size=(7, 7))
game.play()
