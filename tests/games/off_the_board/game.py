from retro.game import Game

class Car:
    name = "car"
    character = "\u25b6"
    position = (0, 2)
    def handle_keystroke(self, keystroke, game):
        x, y = self.position
        if keystroke.name == "KEY_UP":
            self.position = (x, y - 1)
        if keystroke.name == "KEY_DOWN":
            self.position = (x, y + 1)
    def play_turn(self, game):
        x, y = self.position
        self.position = (x + 1, y)
        game.state["metres"] += 1

def main():
    Game([Car()], {"metres": 0}, board_size=(20, 5)).play()

main()
