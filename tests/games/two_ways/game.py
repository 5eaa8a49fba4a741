from random import randint
from retro.game import Game

class Cat:
    """The arrows and WASD do the same."""
    character = "c"
    position = (4, 4)
    ways = dict(zip(["KEY_UP", "KEY_LEFT", "KEY_DOWN", "KEY_RIGHT"], [(0, -1), (-1, 0), (0, 1), (1, 0)]))
    ways.update(zip("wasd", list(ways.values())))
    def handle_keystroke(self, keystroke, game):
        dx, dy = self.ways.get(keystroke.name or keystroke, (0, 0))
        x, y = self.position[0] + dx, self.position[1] + dy
        if game.on_board((x, y)):
            self.position = (x, y)

class Mouse:
    character = "m"
    position = (0, 0)
    def play_turn(self, game):
        if self.position == game.agents[0].position:
            game.state["mice"] += 1
            self.position = (randint(0, 8), randint(0, 8))
        if game.turn_number == 150:
            game.end()

game = Game([Cat(), Mouse()], {"mice": 0}, board_size=(9, 9))
game.play()
