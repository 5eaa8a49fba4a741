"""What a GPU does for the learner: an update on it, and whole trainings whose learner has it.

    python -m benchmarks.performance.gpu [--updates 500] [--seconds 30] [--actors N]

Needs a GPU that torch can use. The trainings run on a Ray cluster of this one machine, started for the moment.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.child import end_session, print_result, run_module
from benchmarks.machine import describe_machine
from benchmarks.performance.parts import APEX, PRIORITIZED, SAME_REUSE
from benchmarks.performance.run_specs import SNAKE, make_random_batch, temporary_run_spec
from retro_gamer.learning import set_threads
from retro_gamer.learning.cuda_graph_step import CudaGraphStep
from retro_gamer.learning.learner import Learner
from retro_gamer.learning.step import EagerStep
from retro_gamer.training.planning.measurements import count_cpus
from retro_gamer.training.planning.run_spec import RunSpec

WARM_UPDATES = 50
SIZES = (64, 512)
REUSES = {"64 every 4": {**SAME_REUSE, **PRIORITIZED}, "512 every 640": APEX}
TIMEOUT_SECONDS = 120.0
BATCHES = 16
STARTED = "Ray runtime started"


def time_updates(run_spec: RunSpec, device: str, n_updates: int, *, plain: bool = False) -> float:
    """Return the median seconds of an update, over batches whose features replay has extracted, in turn.

    With `plain` every operation is started on its own, as on the CPU.
    """
    learner = Learner(run_spec.network, run_spec.settings, run_spec.metadata.character_set or (), device)
    if plain:
        learner._step = EagerStep(learner._step.context)
    size = run_spec.settings.batch_size
    extract = learner.network.extractor.extract_batch
    batches = [extract(make_random_batch(run_spec.network, size, seed)) for seed in range(BATCHES)]
    seconds = np.zeros(WARM_UPDATES + n_updates)
    for i in range(len(seconds)):
        started = time.perf_counter()
        learner.update(batches[i % BATCHES])
        seconds[i] = time.perf_counter() - started
    return float(np.median(seconds[WARM_UPDATES:]))


def time_on_device(run_spec: RunSpec, n_updates: int) -> float:
    """Return the seconds an update takes on the GPU itself: many recorded steps, started one after the other."""
    learner = Learner(run_spec.network, run_spec.settings, run_spec.metadata.character_set or (), "cuda")
    batch = make_random_batch(run_spec.network, run_spec.settings.batch_size)
    learner.update(learner.network.extractor.extract_batch(batch))
    step = learner._step
    assert isinstance(step, CudaGraphStep)
    assert step._graph is not None
    began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    began.record()
    for _ in range(n_updates):
        step._graph.replay()
    ended.record()
    torch.cuda.synchronize()
    return float(began.elapsed_time(ended)) / 1e3 / n_updates


def measure_updates(n_updates: int) -> dict[str, dict[str, float]]:
    """Return seconds an update by batch size: on one core, on the GPU one by one, and recorded."""
    found = {}
    set_threads(1)
    for size in SIZES:
        with temporary_run_spec(SNAKE, prioritize_experiences=True, batch_size=size) as run_spec:
            found[str(size)] = {
                "cpu": time_updates(run_spec, "cpu", min(n_updates, 100)),
                "plain": time_updates(run_spec, "cuda", n_updates, plain=True),
                "recorded": time_updates(run_spec, "cuda", n_updates),
                "recorded, on the device": time_on_device(run_spec, n_updates),
            }
    return found


@contextlib.contextmanager
def ray_head(n_cpus: int) -> Iterator[str]:
    """Start a Ray cluster of this machine with one GPU; yield its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats",
        "--port", str(port), "--num-cpus", str(n_cpus), "--num-gpus", "1", "--include-dashboard", "false",
    ]  # fmt: skip
    with tempfile.NamedTemporaryFile() as output, tempfile.NamedTemporaryFile("w") as token:
        token.write(secrets.token_hex(16))
        token.flush()
        # The token is the benchmark's own; its children have the environment of this process.
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=token.name)
        head = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            _wait_for_head(head, Path(output.name))
            yield f"127.0.0.1:{port}"
        finally:
            end_session(head)
            del os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN_PATH"]


def _wait_for_head(head: subprocess.Popen[bytes], output: Path) -> None:
    ends = time.monotonic() + TIMEOUT_SECONDS
    while head.poll() is None and time.monotonic() < ends:
        if STARTED in output.read_text(errors="replace"):
            return
        time.sleep(0.5)
    raise RuntimeError(f"the Ray head did not start\n{output.read_text(errors='replace')[-2000:]}")


def measure_trainings(seconds: float, n_actors: int) -> dict[str, Any]:
    """Return the numbers of whole trainings of Snake by reuse, without and with the GPU."""
    found: dict[str, Any] = {}
    with ray_head(count_cpus()) as address:
        for reuse, settings in REUSES.items():
            chosen = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
            for gpus in (0, 1):
                found[f"{reuse}, {gpus} GPU"] = run_module(
                    "benchmarks.performance.training", "--game", "snake", "--address", address, "--gpus", str(gpus),
                    "--warm-seconds", "5", "--seconds", str(seconds), "--actors", str(n_actors), *chosen,
                    timeout_seconds=TIMEOUT_SECONDS + seconds,
                )  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--actors", type=int, default=max(1, count_cpus() - 3))
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU here")
    result: dict[str, Any] = {"machine": describe_machine(), "gpu": torch.cuda.get_device_name()}
    result["updates"] = measure_updates(given.updates)
    print(result["updates"], flush=True)
    if given.seconds:
        result["trainings"] = measure_trainings(given.seconds, given.actors)
    print_result(result)


if __name__ == "__main__":
    main()
