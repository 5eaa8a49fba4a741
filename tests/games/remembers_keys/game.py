from retro.game import Game

class Diver:
    """Remembers every key, but heeds only two, one turn later."""
    character = "D"
    position = (1, 4)
    last = None
    def handle_keystroke(self, keystroke, game):
        self.last = keystroke.name or keystroke
        self.history = [*getattr(self, "history", []), keystroke][-5:]
    def play_turn(self, game):
        x, y = self.position
        if game.turn_number % 2:
            y += {"u": -1, "j": 1}.get(self.last, 0)
            self.last = None
        if 0 <= y < 9:
            self.position = (x, y)
        game.state["depth"] = max(game.state["depth"], y)
        if game.turn_number == 40:
            game.end()

game = Game([Diver()], {"depth": 0}, board_size=(3, 9))
game.play()
