"""The peers that learn through Gymnasium: their drivers, run in their own environments."""

from __future__ import annotations

from typing import Any

from benchmarks.child import run_child
from benchmarks.peers.environments import (
    DRIVERS,
    RLLIB,
    STABLE_BASELINES,
    Peer,
    cache_folder,
    driver_environment,
    make_environment,
)

START_SECONDS = 180


def measure_stable_baselines(network: str, warm_seconds: float, seconds: float, threads: int) -> dict[str, Any]:
    """Return turns a second of its DQN on Snake with the strided "cnn" or with an "mlp"."""
    return _run_driver(
        STABLE_BASELINES, "sb3_train.py", warm_seconds, seconds, "--network", network, "--threads", str(threads)
    )


def measure_rllib(warm_seconds: float, seconds: float) -> dict[str, Any]:
    """Return turns a second of its DQN on Snake with an MLP."""
    return _run_driver(RLLIB, "rllib_train.py", warm_seconds, seconds)


def _run_driver(peer: Peer, script: str, warm_seconds: float, seconds: float, *options: str) -> dict[str, Any]:
    python = str(make_environment(peer))
    windows = ["--warm-seconds", str(warm_seconds), "--seconds", str(seconds)]
    return run_child(
        [python, str(DRIVERS / script), *windows, *options],
        START_SECONDS + warm_seconds + seconds,
        driver_environment(),
        folder=cache_folder(),
    )
