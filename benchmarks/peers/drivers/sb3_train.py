"""Trains stable-baselines3's DQN on Snake for a while and prints how many turns a second it reached.

The same reuse as everywhere here: batches of 64, one update every 4 turns.
"""

import argparse
import json
import time
from typing import Any

import torch
from snake_gym import SnakeEnv
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn


class StridedCnn(BaseFeaturesExtractor):
    """Two strided convolutions over the whole board, flattened: 6 x 16 x 32 -> 64 x 4 x 8."""

    def __init__(self, observation_space: Any) -> None:
        super().__init__(observation_space, features_dim=64 * 4 * 8)
        self.layers = nn.Sequential(
            nn.Conv2d(observation_space.shape[0], 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.layers(observations)
        return features


class Window(BaseCallback):
    """Counts turns in a window that begins some seconds after the first update, then stops the training."""

    def __init__(self, warm_seconds: float, seconds: float) -> None:
        super().__init__()
        self.warm_seconds, self.seconds = warm_seconds, seconds
        self.began: float | None = None
        self.first: tuple[float, int] | None = None
        self.last: tuple[float, int] | None = None

    def _on_step(self) -> bool:
        now = time.monotonic()
        if self.num_timesteps <= self.model.learning_starts:
            return True
        self.began = self.began or now
        if now < self.began + self.warm_seconds:
            return True
        self.first = self.first or (now, self.num_timesteps)
        self.last = (now, self.num_timesteps)
        return now < self.first[0] + self.seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", choices=("cnn", "mlp"), required=True)
    parser.add_argument("--warm-seconds", type=float, default=5)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    policy: dict[str, Any] = {"net_arch": [128, 128], "normalize_images": False}
    if given.network == "cnn":
        policy["features_extractor_class"] = StridedCnn
    model = DQN(
        "MlpPolicy", SnakeEnv(flat=given.network == "mlp"), learning_rate=5e-4, buffer_size=10_000,
        learning_starts=500, batch_size=64, train_freq=4, gradient_steps=1, target_update_interval=100,
        policy_kwargs=policy, seed=0, device="cpu",
    )  # fmt: skip
    window = Window(given.warm_seconds, given.seconds)
    model.learn(total_timesteps=10**9, callback=window)
    assert window.first is not None
    assert window.last is not None
    (began, turns), (ended, turns_then) = window.first, window.last
    values = {
        "turns_per_second": (turns_then - turns) / (ended - began),
        "window_seconds": ended - began,
        "parameters": sum(p.numel() for p in model.q_net.parameters()),
    }
    print("RESULT " + json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
