from retro.game import Game
from retro.agent import ArrowKeyAgent

class Climber(ArrowKeyAgent):
    character = "Y"
    position = (2, 7)

class Tower(Game):
    def __init__(self):
        self.climber = Climber()
        super().__init__([self.climber], {"height": 0}, board_size=(5, 8))
    def step(self):
        super().step()
        self.state["height"] = 7 - self.climber.position[1]
        if self.turn_number >= 30 or self.state["height"] == 7:
            self.end()
    def play(self):
        print("Welcome to the tower")
        super().play()
        print("The end")

if __name__ == "__main__":
    Tower().play()
