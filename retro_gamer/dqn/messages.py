"""What the learner and the actors say to each other. Plain values only: every message crosses processes."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """The parameters of one version of the network, as one vector."""

    version: int
    values: np.ndarray
    """float32 [n_parameters], in the order of the network's parameters."""
    characters: tuple[str, ...]
    """The character set the network is laid out for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grant:
    """One bounded piece of work for an actor."""

    turns: int
    seconds: float
    epsilon: float
    tickets: tuple[int, ...]
    """Episodes that may be started; what is not used comes back in the report."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Episode:
    """One finished game."""

    ticket: int
    total_reward: float
    turns: int
    truncated: bool
    fault: str | None = None
    """What the game raised, if that is what ended it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What an actor did with a grant."""

    episodes: tuple[Episode, ...]
    unused_tickets: tuple[int, ...]
    turns: int
    replay_turns: int
    """Turns that replay had received when it took this actor's last block (0 if nothing was pushed)."""
    unknown_characters: dict[str, int]
    """Characters outside the set, and on how many cells they were met."""
    faults: tuple[str, ...]
    """Failures before a first turn, whose tickets are among the unused."""
    version: int
    seconds: float
    greedy_choices: dict[int, int] = dataclasses.field(default_factory=dict)
    """How often each action was taken because the network valued it most."""
    largest_reward: float = 0.0
    """The largest |reward| of a turn."""
    worn_out: str | None = None
    """Why this process should play no more, if so; its games in flight were given up."""
