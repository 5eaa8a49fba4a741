"""A long run that is disturbed all the time: actors are killed, the game fails, and it is stopped and resumed once.

At the end every count has to be exact, no process's memory may have grown, and nothing may be left running.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.processes import PROC, descendants, read_parents
from retro_gamer.driver.creation import create_run
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.log import TrainingLog

KILL_SECONDS = 10.0
SAMPLE_SECONDS = 1.0
ROLES = ("ray::ActorProcess", "ray::ReplayService", "retro_gamer train")
LARGEST_GROWTH = 1.3
"""Memory of a role in the last third of a session over that in its middle third."""

GAME = '''"""Snake, but one turn in two thousand raises and one game in three hundred ends its process."""
import os
import random

from retro.examples import snake


class Trouble:
    display = False

    def play_turn(self, game):
        if random.random() < 1 / 2000:
            raise RuntimeError("a failure of the game")


def create_game():
    game = snake.create_game()
    game.add_agent(Trouble())
    if os.path.basename(os.readlink("/proc/self/fd/1")) == "null" and random.random() < 1 / 300:
        os._exit(3)  # only where output goes nowhere: in an actor
    return game
'''
DESCRIPTION = """[tool.retro-gamer]
actions = ["KEY_RIGHT", "KEY_UP", "KEY_LEFT", "KEY_DOWN"]
reward = "reward"
"""
SETTINGS = {
    "training_episodes": 1_000_000,
    "train_every": 16,
    "memory_capacity": 20_000,
    "checkpoint_minutes": 0.5,
    "max_turns_per_episode": 300,
}


@dataclasses.dataclass
class Session:
    """What was measured in one session of training: kills, and the memory of each role in bytes, sample by sample."""

    kills: int = 0
    memory: dict[str, list[int]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    status: int = 0
    left: list[int] = dataclasses.field(default_factory=list)


def main() -> None:
    """Run the soak and exit with status 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--actors", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        problems = soak(Path(folder), 30.0 * given.minutes, given.actors)
    print("\n".join(problems) or "Nothing was lost.")
    sys.exit(1 if problems else 0)


def soak(folder: Path, seconds: float, n_actors: int) -> list[str]:
    """Train for twice `seconds` with a stop in the middle; return all that is wrong afterwards."""
    (folder / "game.py").write_text(GAME)
    (folder / "pyproject.toml").write_text(DESCRIPTION)
    run = create_run(str(folder / "game.py"), folder / "run", SETTINGS).directory
    problems: list[str] = []
    for number, options in enumerate(([], ["--resume", "latest"])):
        session = train_session(run, seconds, n_actors, options)
        problems += check(run, session)
        print(describe(number, run, session), flush=True)
    return problems


def train_session(run: RunDirectory, seconds: float, n_actors: int, options: list[str]) -> Session:
    """Train for `seconds`, kill an actor every `KILL_SECONDS`, then stop as Ctrl-C does."""
    session, generator = Session(), random.Random(0)
    command = [sys.executable, "-m", "retro_gamer", "train", str(run.path), "--actors", str(n_actors), *options]
    with (
        open(run.path / "shown.txt", "ab") as shown,
        subprocess.Popen(command, stdout=shown, stderr=subprocess.STDOUT) as training,
    ):
        ends, next_kill = time.monotonic() + seconds, time.monotonic() + 2 * KILL_SECONDS
        while time.monotonic() < ends and training.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            roles = find_roles(training.pid)
            for role, pids in roles.items():
                session.memory[role].append(max(map(resident_bytes, pids)))
            if time.monotonic() >= next_kill and roles.get(ROLES[0]):
                next_kill = time.monotonic() + KILL_SECONDS
                os.kill(generator.choice(roles[ROLES[0]]), signal.SIGKILL)
                session.kills += 1
        started = descendants(training.pid, read_parents())
        training.send_signal(signal.SIGINT)
        session.status = training.wait(120)
    session.left = [pid for pid in started if (PROC / str(pid)).exists()]
    return session


def find_roles(pid: int) -> dict[str, list[int]]:
    """Return the processes below `pid` of each role."""
    found: dict[str, list[int]] = defaultdict(list)
    for process in descendants(pid, read_parents()):
        try:
            title = (PROC / str(process) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended
            continue
        for role in ROLES:
            if role in title:
                found[role].append(process)
    return found


def resident_bytes(pid: int) -> int:
    """Return the memory of a process, 0 if it has ended."""
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def check(run: RunDirectory, session: Session) -> list[str]:
    """Return what is wrong after a session."""
    problems = []
    if session.status != 130:
        problems.append(f"exit status {session.status} instead of 130; see shown.txt")
    numbers = [line.episode for line in TrainingLog(run.log_path).read_episodes()]
    if numbers != list(range(1, len(numbers) + 1)):
        problems.append(f"the log's {len(numbers)} episodes are not numbered 1, 2, 3, ...")
    names = [file.episode for file in run.checkpoints()]
    hundreds = list(range(100, len(numbers) + 1, 100))
    if [name for name in names if name and name % 100 == 0] != hundreds:
        problems.append(f"there are checkpoints of {names}, but {len(numbers)} episodes are in the log")
    if names[-1:] != [len(numbers)]:
        problems.append(f"the last checkpoint is of episode {names[-1:]}, the last in the log is {len(numbers)}")
    if session.left:
        problems.append(f"processes left running: {session.left}")
    for role, sizes in session.memory.items():
        growth = find_growth(sizes)
        if growth > LARGEST_GROWTH:
            problems.append(f"the memory of {role} grew by a factor of {growth:.2f}")
    return problems


def find_growth(sizes: list[int]) -> float:
    """Return the median of the last third over that of the middle third; 1 where there are too few samples."""
    third = len(sizes) // 3
    if third < 5:
        return 1.0
    return statistics.median(sizes[-third:]) / max(1, statistics.median(sizes[third:-third]))


def describe(number: int, run: RunDirectory, session: Session) -> str:
    """Return what happened in a session, in one paragraph."""
    text = run.log_path.read_text()
    sizes = ", ".join(
        f"{role.removeprefix('ray::')} {statistics.median(sizes) / 1e6:.0f} MB (x{find_growth(sizes):.2f})"
        for role, sizes in session.memory.items()
    )
    return (
        f"Session {number + 1}: {text.count(chr(10) + '[EP ')} episodes in the log, {session.kills} actors killed, "
        f"{text.count('was lost (')} losses in the log so far, status {session.status}. Memory: {sizes}."
    )


if __name__ == "__main__":
    main()
