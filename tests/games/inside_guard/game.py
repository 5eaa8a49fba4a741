from retro.game import Game
from board import Board

if __name__ == "__main__":
    board = Board()
    Game(board.agents(), {"steps": 0}, board_size=board.size).play()
