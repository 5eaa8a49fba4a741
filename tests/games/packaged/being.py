from retro.agent import ArrowKeyAgent

class Being(ArrowKeyAgent):
    character = "b"
    def play_turn(self, game):
        game.state["energy"] -= 0.5
        if self.position == (5, 5):
            game.state["energy"] += 5
            self.position = (0, 0)
        if game.state["energy"] <= 0:
            game.end()
