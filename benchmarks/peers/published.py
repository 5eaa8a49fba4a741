"""The published trainer, driven by its command line on a game that counts its own turns."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import end_session, run_child
from benchmarks.peers.drivers.turn_counter import COUNT_FILE
from benchmarks.peers.environments import DRIVERS, PUBLISHED, driver_environment, make_environment
from benchmarks.processes import sum_pss

ARROWS = '["KEY_RIGHT", "KEY_UP", "KEY_LEFT", "KEY_DOWN"]'
SNAKE_SET = '["@", "*", ">", "<", "^", "v"]'
GAME = """\
from turn_counter import count_turns
create_game = count_turns("{module}")
"""
DESCRIPTION = """\
[tool.retro-gamer]
actions = {actions}
reward = "{reward}"
character_set = {characters}
spatial = {spatial}
"""
POLL_SECONDS = 0.1
PLAY_SECONDS = 3600.0
LONGEST_SHARE = 3.0
FIRST_TURNS = 200
"""From here on a batch of 64 is there, and every fourth turn brings an update."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeerGame:
    """A game and its description, as options of the peer's command line."""

    module: str
    actions: str
    characters: str
    reward: str = "score"
    spatial: bool = True


SNAKE = PeerGame(module="retro.examples.snake", actions=ARROWS, characters=SNAKE_SET)
NAV = PeerGame(module="retro.examples.nav", actions='["KEY_LEFT", "KEY_RIGHT"]', characters='["^", "O"]')
GAMES = {"snake": SNAKE, "nav": NAV}


def write_game(folder: Path, game: PeerGame) -> Path:
    """Write a folder with the counted game and its description, and return it."""
    place = folder / "counted_game"
    place.mkdir()
    (place / "__init__.py").write_text(GAME.format(module=game.module))
    (place / "pyproject.toml").write_text(
        DESCRIPTION.format(
            actions=game.actions,
            reward=game.reward,
            characters=game.characters,
            spatial=str(game.spatial).lower(),
        )
    )
    return place


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """Lines of a count file: seconds (monotonic), turns and games so far."""

    seconds: Sequence[float]
    turns: Sequence[int]
    games: Sequence[int]

    @classmethod
    def read(cls, path: Path) -> Counts:
        """Return what is there so far; a line being written is left out."""
        text = path.read_text() if path.is_file() else ""
        rows = [line.split() for line in text.split("\n")[:-1]]
        return cls(
            seconds=[float(row[0]) for row in rows],
            turns=[int(row[1]) for row in rows],
            games=[int(row[2]) for row in rows],
        )

    def rate(self, since: float, at_least_seconds: float = 0.0) -> float:
        """Return turns a second between the first line after `since` (monotonic) and the last.

        Raises:
            ValueError: if the lines span less than `at_least_seconds`: the trainer stood still for most of the window.
        """
        later = [i for i, when in enumerate(self.seconds) if when >= since]
        if len(later) < 2 or self.seconds[later[-1]] - self.seconds[later[0]] < at_least_seconds:
            raise ValueError("the window was too short for turns this slow")
        first, last = later[0], later[-1]
        return (self.turns[last] - self.turns[first]) / (self.seconds[last] - self.seconds[first])


@contextlib.contextmanager
def training(game: PeerGame, options: Sequence[str], folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run its `init` and `train` in `folder`; yield the training process and its count file, and end it after."""
    make_environment(PUBLISHED)
    program = str(make_environment(PUBLISHED).parent / "retro-gamer")
    write_game(folder, game)
    counts = folder / "counts"
    environment = {**os.environ, **driver_environment(), "MPLBACKEND": "Agg"}
    subprocess.run(
        [program, "init", "./counted_game", "run", *options],
        cwd=folder, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    process = subprocess.Popen(
        [program, "train", "run"], cwd=folder, env={**environment, COUNT_FILE: str(counts)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield process, counts
    finally:
        end_session(process)


def measure_training(game: PeerGame, options: Sequence[str], warm_seconds: float, seconds: float) -> dict[str, Any]:
    """Return turns a second over a window, after a warm-up that begins once it learns, and its memory."""
    with tempfile.TemporaryDirectory() as name, training(game, options, Path(name)) as (process, counts):
        started = time.monotonic()
        _wait_for_turns(process, counts)
        begins = time.monotonic() + warm_seconds
        first_game = None
        while time.monotonic() < begins + seconds:
            _check_alive(process)
            time.sleep(POLL_SECONDS)
        found = Counts.read(counts)
        first_game = next((s for s, games in zip(found.seconds, found.games, strict=True) if games > 1), None)
        return {
            "turns_per_second": found.rate(begins, seconds / 2),
            "window_seconds": seconds,
            "pss_bytes": sum_pss(process.pid),
            "first_episode_seconds": None if first_game is None else first_game - started,
        }


def _wait_for_turns(process: subprocess.Popen[bytes], counts: Path, timeout_seconds: float = 180) -> None:
    ends = time.monotonic() + timeout_seconds
    while max(Counts.read(counts).turns, default=0) < FIRST_TURNS:
        _check_alive(process)
        if time.monotonic() > ends:
            raise TimeoutError(f"the published trainer did not play {FIRST_TURNS} turns in {timeout_seconds:.0f} s")
        time.sleep(POLL_SECONDS)


def _check_alive(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        raise RuntimeError(f"the published trainer ended by itself with status {process.returncode}")


def train_and_play(game: PeerGame, minutes: float, seeds: Sequence[int], max_turns: int) -> dict[str, Any]:
    """Return the scores of greedy games, one a seed, after a training of `minutes` with its own defaults.

    It writes a checkpoint now and then; the latest is played. If there is none by then it may go on to its
    first.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with training(game, (), folder) as (process, counts):
            _wait_for_turns(process, counts)
            began = time.monotonic()
            while time.monotonic() < began + minutes * 60 or not any((folder / "run" / "checkpoints").glob("*")):
                _check_alive(process)
                time.sleep(POLL_SECONDS)
                if time.monotonic() > began + LONGEST_SHARE * minutes * 60:
                    raise TimeoutError(
                        f"the published trainer wrote no checkpoint in {LONGEST_SHARE:g} x {minutes} min"
                    )
            turns, seconds = Counts.read(counts).turns[-1], time.monotonic() - began
        played = run_child(
            [
                str(make_environment(PUBLISHED)), str(DRIVERS / "published_play.py"), str(folder / "run"),
                "--module", game.module, "--reward", game.reward, "--seeds", json.dumps(list(seeds)),
                "--max-turns", str(max_turns),
            ],
            PLAY_SECONDS, driver_environment(), folder=folder,
        )  # fmt: skip
        return {"turns": turns, "train_minutes": minutes, "trained_seconds": seconds, **played}
