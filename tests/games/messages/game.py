from retro.game import Game
from retro.agent import ArrowKeyAgent

class Seeker(ArrowKeyAgent):
    name = "seeker"
    character = "s"
    position = (2, 2)
    def play_turn(self, game):
        if self.position == (4, 2):
            game.state["message"] = "You win!"
            game.end()
        elif self.position[0] == 0 or game.turn_number > 60:
            game.state["message"] = "You lose!"
            game.end()

def run():
    game = Game([Seeker()], {"message": "Find the way out", "mood": "calm"}, board_size=(5, 5))
    game.play()

if __name__ == "__main__":
    run()
