from retro.game import Game

class Cursor:
    """Listens to wasd and to the arrows, which mean the same, and to space and enter."""
    character = "+"
    position = (3, 3)
    def handle_keystroke(self, keystroke, game):
        x, y = self.position
        if keystroke in "wasd" or keystroke.name in ("KEY_UP", "KEY_LEFT", "KEY_DOWN", "KEY_RIGHT"):
            dx, dy = {"w": (0, -1), "a": (-1, 0), "s": (0, 1), "d": (1, 0), "KEY_UP": (0, -1), "KEY_LEFT": (-1, 0),
                      "KEY_DOWN": (0, 1), "KEY_RIGHT": (1, 0)}[keystroke.name or str(keystroke)]
            if game.on_board((x + dx, y + dy)):
                self.position = (x + dx, y + dy)
        elif keystroke == " ":
            self.character = "x" if self.character == "+" else "+"
        elif keystroke.name == "KEY_ENTER":
            if self.position == (0, 0):
                game.end()
        elif keystroke == "h":
            game.log("help")

def create_game():
    return Game([Cursor()], {"score": 0}, board_size=(7, 7))
