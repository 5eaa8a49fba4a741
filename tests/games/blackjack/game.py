import random

def draw():
    return random.choice([2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10, 11])

hand = [draw(), draw()]
while sum(hand) < 21 and input(f"You have {hand}. Another card? ") != "no":
    hand.append(draw())
print("You win!" if sum(hand) == 21 else "The house wins.")
