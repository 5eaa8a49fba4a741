from retro.game import Game

def main():
    print("Hello")

if __name__ == "__main__":
    main()
