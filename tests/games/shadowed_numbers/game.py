from retro.game import Game
import player

plays = 0

def create_game():
    from numbers import START
    global plays
    plays += 1
    return Game([player.Player()], {"score": 0, "start": START, "plays": plays}, board_size=(12, 3))

if __name__ == "__main__":
    create_game().play()
