class Lander:
    name = "lander"
    character = "A"
    def __init__(self):
        self.position = (3, 0)
        self.speed = 0
    def handle_keystroke(self, keystroke, game):
        if keystroke.name == "KEY_UP" and game.state["fuel"]:
            game.state["fuel"] -= 1
            self.speed = -1
    def play_turn(self, game):
        x, y = self.position
        self.speed = min(1, self.speed + 1)
        self.position = (x, max(0, y + self.speed))
        if self.position[1] >= 11:
            game.state["landed"] = 1
            game.end()

class Ground:
    character = "_"
    position = (3, 11)
    z = -1
