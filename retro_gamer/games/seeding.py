"""The random numbers of who plays a game, apart from those that the game draws."""

from __future__ import annotations

import random


def make_player_generator(seed: int | None) -> random.Random:
    """Return a generator for the player of a game that is seeded with `seed`; with None it is seeded by the system.

    One seeded with the same number would give what the game is about to draw: random keys would then know its cards.
    """
    return random.Random(None if seed is None else f"player/{seed}")
