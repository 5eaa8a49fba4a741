from retro.game import Game
from retro.agent import ArrowKeyAgent

class Jumper(ArrowKeyAgent):
    character = "j"
    def play_turn(self, game):
        game.state["x"] = self.position[0]
        if self.position[0] == game.board_size[0] - 1 or game.turn_number == 50:
            game.end()

total = 0
for level in range(1, 4):
    print("Level", level)
    game = Game([Jumper()], {"x": 0}, board_size=(5 * level, 3))
    game.play()
    total += game.state["x"]
print("Total", total)
