from retro.game import Game

class Robot:
    """Each key has a function in a dict; the keys are joined from a prefix and a direction."""
    character = "R"
    position = (4, 4)
    def __init__(self):
        self.commands = {
            "KEY_" + "LEFT": lambda game: self.go(-1, 0, game),
            "KEY_" + "RIGHT": lambda game: self.go(1, 0, game),
            "x": lambda game: game.end(),
        }
    def go(self, dx, dy, game):
        x, y = self.position[0] + dx, self.position[1] + dy
        if game.on_board((x, y)):
            self.position = (x, y)
            game.state["visited"] = len(seen.add((x, y)) or seen)
    def handle_keystroke(self, keystroke, game):
        self.commands.get(keystroke.name or str(keystroke), lambda game: None)(game)

seen = set()
game = Game([Robot()], {"visited": 0}, board_size=(30, 9))
game.play()
