import player
from board import WIDTH, HEIGHT
from retro.game import Game

def main():
    game = Game([player.Player()], {"score": 0}, board_size=(WIDTH, HEIGHT))
    game.play()
    print("Thanks for playing")

if __name__ == "__main__":
    main()
