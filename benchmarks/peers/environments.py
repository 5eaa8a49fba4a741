"""An environment of its own for each peer, made once and kept in a cache folder outside the checkout."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

DRIVERS = Path(__file__).parent / "drivers"
GAMES = "retro-games==2.5.0"
TORCH = "torch==2.13.0"
INSTALL_SECONDS = 1200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
    """A package others would use instead, and what it needs installed beside it."""

    name: str
    title: str
    requirements: tuple[str, ...]


PUBLISHED = Peer(
    name="published",
    title="retro-gamer 0.4.0 from PyPI",
    # It crashes on plotext 6, which it does not bound.
    requirements=("retro-gamer==0.4.0", "plotext<6", GAMES, TORCH),
)
STABLE_BASELINES = Peer(
    name="stable-baselines3",
    title="stable-baselines3 2.9.2 DQN",
    requirements=("stable-baselines3==2.9.2", GAMES, TORCH),
)
RLLIB = Peer(name="rllib", title="RLlib DQN of Ray 2.60.0", requirements=("ray[rllib]==2.60.0", GAMES, TORCH))
PEERS = {peer.name: peer for peer in (PUBLISHED, STABLE_BASELINES, RLLIB)}


def cache_folder() -> Path:
    """Return the folder that holds the environments."""
    chosen = os.environ.get("RETRO_GAMER_BENCHMARK_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen) if chosen else base / "retro-gamer-benchmarks"


def environment_of(peer: Peer) -> Path:
    """Return the folder of a peer's environment, whether it is made or not."""
    return cache_folder() / peer.name


def peer_python(peer: Peer) -> Path:
    """Return the Python of a peer's environment."""
    return environment_of(peer) / "bin" / "python"


def is_made(peer: Peer) -> bool:
    """Return whether the environment is there and holds what is asked for now."""
    mark = environment_of(peer) / ".requirements"
    return mark.is_file() and mark.read_text() == _mark_text(peer)


def make_environment(peer: Peer) -> Path:
    """Make the environment of a peer unless it is there, and return its Python.

    With TORCH_INDEX=URL pip searches there for torch too, as `make setup` does.

    Raises:
        subprocess.CalledProcessError: if something cannot be installed; its output holds the reason.
    """
    if is_made(peer):
        return peer_python(peer)
    folder = environment_of(peer)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True, text=True)
    index = os.environ.get("TORCH_INDEX")
    subprocess.run(
        [
            peer_python(peer), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            *(["--extra-index-url", index] if index else []), *peer.requirements,
        ],
        check=True, capture_output=True, text=True, cwd=cache_folder(), timeout=INSTALL_SECONDS,
    )  # fmt: skip
    (folder / ".requirements").write_text(_mark_text(peer))
    return peer_python(peer)


def _mark_text(peer: Peer) -> str:
    return shlex.join(peer.requirements) + "\n"


def driver_environment() -> dict[str, str]:
    """Return what a driver's process needs to find its fellow modules, and nothing of this checkout."""
    return {"PYTHONPATH": str(DRIVERS), "RAY_USAGE_STATS_ENABLED": "0"}
