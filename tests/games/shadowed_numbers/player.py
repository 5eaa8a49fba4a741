from numbers import START

class Player:
    name = "hero"
    character = "@"

    def __init__(self):
        self.position = (START, 1)

    def handle_keystroke(self, keystroke, game):
        x, y = self.position
        if keystroke.name == "KEY_RIGHT" and game.on_board((x + 1, y)):
            self.position = (x + 1, y)
            game.state["score"] += 1
