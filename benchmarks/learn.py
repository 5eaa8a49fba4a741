"""`make learn`: trains, evaluates and prints the tables of docs/learning.md, part by part.

    python -m benchmarks.learn [--list] [--part GLOB] [--jobs N] [--minutes M] [--updates N] [--games N] [--keep]

Every part leaves a result file in build/benchmarks/learning; a part that has one is left out, so that the command
continues where it stopped. `--keep` copies what is there into benchmarks/results/learning and renews the document.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.child import ChildFailedError, end_children, end_politely
from benchmarks.documents import LEARNING, keep_results, renew
from benchmarks.learning.parts import PARTS, Budget, Part
from benchmarks.learning.tables import TABLES
from benchmarks.machine import describe_machine, measure_quiet
from benchmarks.records import WORK, Record, file_of, load_record, load_records, save_record
from retro_gamer.errors import RetroGamerError

FOLDER = WORK / "learning"
RUNS = WORK / "learning-runs"
FAILURES = (ChildFailedError, RetroGamerError, OSError, RuntimeError, subprocess.SubprocessError, ValueError)
"""What may go wrong in one part without ending the others; it is kept as the part's result."""


def run_part(part: Part, budget: Budget) -> Record:
    """Return the record of a part, whether it succeeded or not."""
    quiet, started = measure_quiet(), time.monotonic()
    values, error = {}, None
    try:
        values = part.run(budget, RUNS / file_of(FOLDER, part.name).stem)
    except FAILURES as failure:
        error = f"{type(failure).__name__}: {failure}\n{getattr(failure, 'stderr', None) or ''}"
    return Record(
        part=part.name,
        values=values,
        machine=describe_machine(),
        quiet=quiet,
        seconds=round(time.monotonic() - started, 1),
        quick=budget.is_quick,
        error=error,
    )


def is_done(part: Part, budget: Budget) -> bool:
    """Return whether there is a result of a part that this budget would not better."""
    record = load_record(FOLDER, part.name)
    return record is not None and record.error is None and (budget.is_quick or not record.quick)


def choose_parts(glob: str | None) -> list[Part]:
    """Return the parts whose name matches or begins so, all without a pattern.

    Raises:
        SystemExit: if none does.
    """
    chosen = [
        part
        for name, part in PARTS.items()
        if glob is None or fnmatch.fnmatch(name, glob) or name.startswith(f"{glob.rstrip('/')}/")
    ]
    if not chosen:
        raise SystemExit(f"no part is called {glob}; see them with: make learn LIST=1")
    return chosen


def print_parts(parts: Sequence[Part], budget: Budget, jobs: int) -> None:
    """Print what would be run and how long it takes."""
    left = 0.0
    for part in parts:
        done = is_done(part, budget)
        minutes = part.minutes(budget)
        left += 0 if done else minutes / (jobs if part.is_parallel else 1)
        print(f"  {part.name:<48} {minutes:>5.0f} min {'done' if done else ''}")
    print(f"  about {left:.0f} minutes are left")


def run_parts(parts: Sequence[Part], budget: Budget, jobs: int) -> None:
    """Run what is not done: parts bound to the clock one by one, the others `jobs` at a time."""
    left = [part for part in parts if not is_done(part, budget)]

    def run(part: Part) -> None:
        print(f"{part.name} (about {part.minutes(budget):.0f} min) ...", flush=True)
        record = run_part(part, budget)
        save_record(FOLDER, record)
        print(f"{part.name}: {record.error or json.dumps(record.values)[:200]}", flush=True)

    for part in (part for part in left if not part.is_parallel):
        run(part)
    pool = ThreadPoolExecutor(jobs)
    try:
        list(pool.map(run, [part for part in left if part.is_parallel]))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        end_children()
        raise
    pool.shutdown()


def make_report() -> str:
    """Return all tables that have a result, as docs/learning.md holds them."""
    records = load_records(FOLDER)
    return "\n\n".join(f"{name}\n\n{text}" for name, make in TABLES.items() if (text := make(records)))


def main() -> None:
    usual = Budget()
    parser = argparse.ArgumentParser(description="Train and evaluate. See benchmarks/README.md.")
    parser.add_argument("--list", action="store_true", help="show the parts, their minutes and what is done")
    parser.add_argument("--part", metavar="GLOB", help="only the parts of this name")
    parser.add_argument("--jobs", type=int, default=1, help="parts not bound to the clock to run at a time")
    parser.add_argument("--minutes", type=float, default=usual.minutes, help="of a training by time")
    parser.add_argument("--peer-minutes", type=float, default=usual.peer_minutes, help="of the peer's training")
    parser.add_argument("--updates", type=int, default=usual.updates, help="of a training by updates")
    parser.add_argument("--games", type=int, default=usual.games, help="of an evaluation")
    parser.add_argument("--episodes", type=int, help="instead of the reference's 1,000 (a quick run)")
    parser.add_argument("--keep", action="store_true", help="copy the results into the repository and the document")
    given = parser.parse_args()
    end_politely()
    budget = Budget(
        minutes=given.minutes,
        peer_minutes=given.peer_minutes,
        updates=given.updates,
        games=given.games,
        episodes=given.episodes,
    )
    parts = choose_parts(given.part)
    if given.list:
        print_parts(parts, budget, given.jobs)
    elif given.keep:
        keep_results(FOLDER, LEARNING)
        renew(LEARNING)
    else:
        run_parts(parts, budget, given.jobs)
        print("\n" + make_report())


if __name__ == "__main__":
    main()
