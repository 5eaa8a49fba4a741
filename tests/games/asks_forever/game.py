from retro.game import Game
from retro.agent import ArrowKeyAgent

name = ""
while not name:
    name = input("What is your name? ")
players = int(input("How many players? "))
Game([ArrowKeyAgent() for _ in range(players)], {"score": 0}, board_size=(5, 5)).play()
