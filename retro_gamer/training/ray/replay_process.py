"""The plain class that runs as a Ray actor and remembers. Its process needs no torch, and does without."""

from __future__ import annotations

from retro_gamer.backends.replay_service import Memory


class ReplayProcess(Memory):
    """The replay memory in a process of its own."""
