import os
from time import sleep
from retro.game import Game
from retro.agent import ArrowKeyAgent

class Runner(ArrowKeyAgent):
    character = "R"
    def __init__(self, speed):
        self.speed = speed
    def play_turn(self, game):
        game.state["distance"] = self.position[0] * self.speed
        if game.turn_number > 30:
            game.end()

def play(speed):
    Game([Runner(speed)], {"distance": 0}, board_size=(12, 3)).play()

def menu():
    while True:
        os.system("clear")
        print("1) slow\n2) fast\nq) quit")
        choice = input("Your choice: ")
        sleep(2)
        if choice == "1":
            play(1)
        elif choice == "2":
            play(2)
        elif choice == "q":
            break
        else:
            print("That is no choice.")

menu()
