from random import randint, seed
from retro.game import Game
from retro.agent import ArrowKeyAgent, CenterViewAgent

class Explorer(ArrowKeyAgent, CenterViewAgent):
    character = "E"
    position = (60, 30)
    def play_turn(self, game):
        super().play_turn(game)
        for agent in game.get_agents_by_position()[self.position]:
            if agent is not self:
                game.remove_agent(agent)
                game.state["trees"] += 1
                break
        if game.turn_number == 60:
            game.end()

class Tree:
    character = "T"
    def __init__(self, position):
        self.position = position

def main():
    places = {(randint(0, 119), randint(0, 59)) for _ in range(600)} - {(60, 30)}
    game = Game([Explorer()] + [Tree(p) for p in sorted(places)], {"trees": 0}, board_size=(120, 60),
                view_size=(20, 10), view_position=(50, 25))
    game.play()

if __name__ == "__main__":
    main()
