from random import randint
from retro.game import Game

class Bird:
    """Flaps at any key."""
    character = "b"
    position = (3, 5)
    def handle_keystroke(self, keystroke, game):
        self.position = (3, self.position[1] - 3)
    def play_turn(self, game):
        self.position = (3, self.position[1] + 1)
        if not 0 <= self.position[1] < 12:
            self.position = (3, 0)
            game.end()
        if game.turn_number % 10 == 0:
            game.state["pipes"] += 1
            if abs(self.position[1] - 6) > randint(2, 5):
                game.end()

game = Game([Bird()], {"pipes": 0}, board_size=(10, 12))
game.play()
