"""The ablations: each changes what its name says and keeps every other default. Add a line to ask another question.

They play one game at a time, so a ladder of epsilons over several games cannot be asked about here.
"""

from __future__ import annotations

from typing import Any

BASE = "base"
VARIANTS: dict[str, dict[str, Any]] = {
    BASE: {},
    "prioritized": {"prioritize_experiences": True},
    "weight_averaging 1": {"weight_averaging": 1},
    "weight_averaging 10000": {"weight_averaging": 10_000},
    "exploration_draws 1": {"exploration_draws": 1},
    "exploration_draws 3": {"exploration_draws": 3},
    "n_step 2": {"n_step": 2},
    "n_step 3": {"n_step": 3},
    "n_step 5": {"n_step": 5},
    "rare_share 0": {"rare_share": 0.0},
    "rare_share 0.25": {"rare_share": 0.25},
    "gamma 0.95": {"gamma": 0.95},
    "gamma 0.997": {"gamma": 0.997},
    "crop_radius 4": {"crop_radius": 4},
    "crop_radius 8": {"crop_radius": 8},
    "target_update_freq 500": {"target_update_freq": 500},
    "train_every 8": {"train_every": 8},
    "lr_min 0": {"lr_min": 0.0},
    "memory_capacity 50000": {"memory_capacity": 50_000},
    "epsilon_decay 0.99": {"epsilon_decay": 0.99},
}
TASKS = ("snake-reward", "nav-score")
SEEDS = (0, 1)
