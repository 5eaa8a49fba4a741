"""Bit-for-bit digests of small training runs with `--actors 0`: did a change alter what is learned?

    python -m benchmarks.digest            print the digest of every case
    python -m benchmarks.digest --check    and compare with benchmarks/results/digest.json
    python -m benchmarks.digest --write    and keep it there

Floating-point results depend on the versions of torch and numpy and on the processor, so the file holds an entry for
each combination. This module imports nothing from retro_gamer: PYTHONPATH chooses the version that trains.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import hashlib
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

KEPT = Path(__file__).with_name("results") / "digest.json"
LEARNED = (
    "model_state_dict",
    "online_state_dict",
    "optimizer_state_dict",
    "epsilon",
    "episode",
    "total_turns",
    "total_steps",
)
"""What a checkpoint holds about learning; the rest, such as times and names, may differ between versions."""

CURSOR = """
import random
from retro.game import Game

class Mark:
    def __init__(self, character, position):
        self.character, self.position = character, position

class Hand:
    display = False
    position = (0, 0)

    def __init__(self, cursor, goal):
        self.cursor, self.goal = cursor, goal

    def handle_keystroke(self, key, game):
        x, y = self.cursor.position
        self.cursor.position = (x + {"KEY_LEFT": -1, "KEY_RIGHT": 1}.get(key.name, 0)) % 8, y

    def play_turn(self, game):
        if self.cursor.position == self.goal.position:
            game.state["score"] += 1
            self.goal.position = random.randrange(8), 2
        if game.turn_number > 60:
            game.end()

def create_game():
    cursor, goal = Mark("x", (4, 2)), Mark("o", (random.randrange(8), 2))
    return Game([Hand(cursor, goal), cursor, goal], {"score": 0}, board_size=(8, 5))
"""
"""A game whose keys move something that does not handle them, so that the whole board is the network's input."""
DESCRIPTION = """
[tool.retro-gamer]
actions = ["KEY_LEFT", "KEY_RIGHT"]
reward = "score"
character_set = ["x", "o"]
spatial = true
observe_state = []
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A training run: a game, and options of `create`."""

    game: str
    options: str
    is_flat: bool = False


SNAKE = "retro.examples.snake"
CASES = {
    "snake": Case(game=SNAKE, options="--training-episodes 60 --train-every 2 --seed 5"),
    "snake-flat": Case(game=SNAKE, options="--training-episodes 40 --seed 5", is_flat=True),
    "snake-prioritized-n-step": Case(
        game=SNAKE, options="--training-episodes 40 --prioritize-experiences --n-step 3 --seed 6"
    ),
    "nav": Case(game="retro.examples.nav", options="--training-episodes 12 --seed 7 --learning-starts 200"),
    "board-cnn": Case(game="cursor.py", options="--training-episodes 8 --seed 9 --learning-starts 100"),
}


def key_of_machine() -> str:
    """Return what floating-point results depend on: versions, and the code that libraries choose by the processor."""
    parts = [
        f"torch {torch.__version__}",
        f"numpy {np.__version__}",
        f"{platform.machine()} {_vendor()}",
        torch.backends.cpu.get_cpu_capability(),
        f"OpenBLAS {_blas_core()}",
    ]
    return ", ".join(parts)


def _vendor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split()[-1] for line in lines if line.startswith("vendor_id")), "unknown")


def _blas_core() -> str:
    for library in Path(np.__file__).parent.parent.glob("numpy.libs/libscipy_openblas64_*"):
        name_of_core = ctypes.CDLL(str(library)).scipy_openblas_get_corename64_
        name_of_core.restype = ctypes.c_char_p
        return str(name_of_core().decode())
    return "unknown"


def digest_case(name: str) -> str:
    """Return the digest of the weights, the optimizer and the logged episodes of a case, after training it."""
    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cursor.py").write_text(CURSOR)
        (Path(folder) / "pyproject.toml").write_text(DESCRIPTION)
        _run_command(folder, "create", "--game", case.game, "--output", "run", *case.options.split())
        if case.is_flat:
            config = Path(folder) / "run" / "config.toml"
            config.write_text(config.read_text().replace("spatial = true", "spatial = false"))
        _run_command(folder, "train", "run", "--actors", "0")
        return digest_run(Path(folder) / "run")


def digest_run(run: Path) -> str:
    """Return the digest of a run's final checkpoint and log."""
    state = torch.load(run / "checkpoints" / "final.pt", weights_only=True)
    lines = (run / "training.log").read_text().splitlines()
    digest = hashlib.sha256()
    for piece in _pieces({name: state[name] for name in LEARNED if name in state}, ""):
        digest.update(piece)
    digest.update("\n".join(line for line in lines if line.startswith("[EP")).encode())
    return digest.hexdigest()[:32]


def _pieces(value: Any, path: str) -> Iterator[bytes]:
    """Yield the bytes of everything in nested dictionaries and lists, each after its path."""
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _pieces(value[key], f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _pieces(item, f"{path}/{index}")
    elif isinstance(value, torch.Tensor):
        yield path.encode() + value.contiguous().numpy().tobytes()
    else:
        yield f"{path}{value!r}".encode()


def _run_command(folder: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "retro_gamer", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"retro-gamer {' '.join(arguments)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def load_kept() -> dict[str, dict[str, str]]:
    """Return the committed digests, by machine and case."""
    kept: dict[str, dict[str, str]] = json.loads(KEPT.read_text())
    return kept


def main() -> int:
    """Run all cases; the status is 1 if --check finds a difference, 2 if it knows no digests of this machine."""
    parser = argparse.ArgumentParser(description="Digest small training runs, bit for bit.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help=f"compare with {KEPT.name}")
    choice.add_argument("--write", action="store_true", help=f"keep the digests in {KEPT.name}")
    given = parser.parse_args()
    key, found = key_of_machine(), {}
    print(key, flush=True)
    for name in CASES:
        found[name] = digest_case(name)
        print(f"{name:26}{found[name]}", flush=True)
    kept = load_kept() if KEPT.exists() else {}
    if given.write:
        KEPT.write_text(json.dumps(kept | {key: found}, indent=1, sort_keys=True) + "\n")
    if not given.check:
        return 0
    if key not in kept:
        print("No digests are kept for this machine. Run this with --write before your change.")
        return 2
    changed = sorted(name for name in found if kept[key].get(name) != found[name])
    print(f"Changed: {', '.join(changed)}" if changed else "All digests are the same.")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
