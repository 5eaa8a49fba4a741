"""Lets ``python -m retro_gamer`` do what the command ``retro-gamer`` does."""

from retro_gamer.cli import main

if __name__ == "__main__":
    main()
