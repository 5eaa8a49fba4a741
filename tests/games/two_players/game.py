from retro.game import Game

class Paddle:
    def __init__(self, name, x, up, down):
        self.name, self.up, self.down = name, up, down
        self.position = (x, 2)
        self.character = ["|", "|"]
        self.size = (1, 2)
    def handle_keystroke(self, keystroke, game):
        x, y = self.position
        if keystroke == self.up or keystroke.name == self.up:
            y = max(0, y - 1)
        if keystroke == self.down or keystroke.name == self.down:
            y = min(4, y + 1)
        self.position = (x, y)

class Ball:
    character = "o"
    position = (4, 2)
    dx = 1
    def play_turn(self, game):
        x, y = self.position
        for paddle in (left, right):
            if (x + self.dx, y) in [paddle.position, (paddle.position[0], paddle.position[1] + 1)]:
                self.dx = -self.dx
        x += self.dx
        if x < 0 or x > 10:
            game.state["right" if x < 0 else "left"] += 1
            x = 5
            y = game.turn_number % 6
        self.position = (x, y)
        if game.state["right"] + game.state["left"] == 3:
            game.end()

left = Paddle("left", 0, "w", "s")
right = Paddle("right", 10, "KEY_UP", "KEY_DOWN")
Game([left, right, Ball()], {"left": 0, "right": 0}, board_size=(11, 6)).play()
