from retro.game import Game
from retro.agent import ArrowKeyAgent

class Ball(ArrowKeyAgent):
    character = "o"
    def play_turn(self, game):
        game.state["points"] += 1
        if self.position[0] > 4 or game.turn_number > 50:
            game.end()

def once():
    try:
        game = Game([Ball()], {"points": 0}, board_size=(7, 3))
        game.play()
    except:
        print("something went wrong, who cares")

def forever():
    while True:
        try:
            once()
        except:
            pass
        again = input("again? ")
        if again == "n":
            break

forever()
