from retro.game import Game
from retro.agent import ArrowKeyAgent
import scores

lives = 3

class Hero(ArrowKeyAgent):
    character = "h"
    def play_turn(self, game):
        global lives
        scores.score += 1
        game.state["score"] = scores.score
        if scores.score % 7 == 0:
            lives -= 1
        game.state["lives"] = lives
        if lives == 0:
            game.end()

def main():
    Game([Hero()], {"score": 0, "lives": lives}, board_size=(6, 4)).play()

if __name__ == "__main__":
    main()
