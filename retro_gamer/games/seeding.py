"""The random numbers that games draw, and, apart from those, the ones of who plays them."""

from __future__ import annotations

import random

import numpy as np


def seed_generators(seed: int) -> None:
    """Seed Python's and numpy's global generators, which games draw on."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def unseed_generators() -> None:
    """Let the system seed them."""
    random.seed()
    np.random.seed()


def make_player_generator(seed: int | None) -> random.Random:
    """Return a generator for the player of a game that is seeded with `seed`; with None it is seeded by the system.

    One seeded with the same number would give what the game is about to draw: random keys would then know its cards.
    """
    return random.Random(None if seed is None else f"player/{seed}")
