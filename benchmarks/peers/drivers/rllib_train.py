"""Trains RLlib's DQN on Snake for a while and prints how many turns a second it reached.

One local env runner with four games, an MLP of 128-128, the prioritized episode buffer, batches of 64 and a training
intensity of 16: 16 experiences trained on for each one sampled, which is one update every 4 turns.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
import ray
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.tune.registry import register_env
from snake_gym import SnakeEnv

LIFETIME = "num_env_steps_sampled_lifetime"


def make_config() -> Any:
    return (
        DQNConfig()
        .environment("snake")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=4)
        .learners(num_learners=0)
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[128, 128], fcnet_activation="relu"))
        .training(
            train_batch_size_per_learner=64,
            training_intensity=16,
            num_steps_sampled_before_learning_starts=500,
            replay_buffer_config={"type": "PrioritizedEpisodeReplayBuffer", "capacity": 10_000},
        )
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=100)
        .debugging(seed=0, log_level="ERROR")
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--warm-seconds", type=float, default=5)
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    register_env("snake", lambda _: SnakeEnv(flat=True, dtype=np.float32))
    algorithm = make_config().build_algo()
    began: float | None = None
    marks: list[tuple[float, float]] = []
    while not marks or marks[-1][0] < marks[0][0] + given.seconds:
        turns = algorithm.train()["env_runners"][LIFETIME]
        now = time.monotonic()
        if turns > 600 and began is None:
            began = now
        if began is not None and now >= began + given.warm_seconds:
            marks.append((now, turns))
    (started, turns_before), (ended, turns_after) = marks[0], marks[-1]
    values = {
        "turns_per_second": (turns_after - turns_before) / (ended - started),
        "window_seconds": ended - started,
    }
    print("RESULT " + json.dumps(values), flush=True)
    algorithm.stop()
    ray.shutdown()


if __name__ == "__main__":
    main()
