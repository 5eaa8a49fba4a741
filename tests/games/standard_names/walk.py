from retro.game import Game
from retro.agent import ArrowKeyAgent
from queue import Line

class Walker(ArrowKeyAgent):
    name = "walker"
    position = (0, 0)
    def play_turn(self, game):
        game.state["score"] = self.position[0]
        if game.turn_number > 30:
            game.end()

if __name__ == "__main__":
    Game([Walker(), Line()], {"score": 0}, board_size=(8, 8)).play()
