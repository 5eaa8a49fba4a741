from retro.game import Game

class Crane:
    """Its keys are patterns of a match statement; the hook lets go only where it hangs over the ship."""
    character = "C"
    position = (2, 0)
    load = 1
    def handle_keystroke(self, keystroke, game):
        x, y = self.position
        match keystroke.name or str(keystroke):
            case "KEY_LEFT" | "h":
                self.position = (max(0, x - 1), y)
            case "KEY_RIGHT" | "l":
                self.position = (min(11, x + 1), y)
            case "KEY_DOWN" if x == 9 and self.load:
                self.load = 0
                game.state["score"] += 1
            case "KEY_UP" if x == 0:
                self.load = 1
    def play_turn(self, game):
        if game.turn_number == 80:
            game.end()

game = Game([Crane()], {"score": 0}, board_size=(12, 4))
game.play()
