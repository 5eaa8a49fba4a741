from retro.game import Game

class Typist:
    """A typing error in the handler."""
    character = "T"
    position = (1, 1)
    def handle_keystroke(self, keystroke, game):
        if keystroke.nmae == "KEY_LEFT":
            self.position = (0, 1)

game = Game([Typist()], {"score": 0}, board_size=(4, 3))
game.play()
