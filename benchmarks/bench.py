"""`make bench`: measures this machine and prints the table of docs/performance.md.

    python -m benchmarks.bench [--list] [--part GLOB] [--quick] [--resume] [--keep]

Each part runs in processes of its own and leaves a result file in build/benchmarks/performance. `--keep` moves what is
there into benchmarks/results/performance and renews the document.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import time
from collections.abc import Sequence

from benchmarks.child import ChildFailedError, end_politely
from benchmarks.documents import PERFORMANCE, keep_results, renew
from benchmarks.machine import describe_machine, is_busy, measure_gflops, measure_quiet
from benchmarks.peers.environments import PEERS, is_made, make_environment
from benchmarks.performance.parts import PARTS, QUICK, Pace, Part
from benchmarks.performance.rows import describe_records, make_actor_table, make_main_table, make_model_tables
from benchmarks.records import WORK, Record, load_records, save_record

FOLDER = WORK / "performance"
FAILURES = (ChildFailedError, OSError, RuntimeError, subprocess.SubprocessError, TimeoutError, ValueError)
"""What may go wrong in one part without ending the others; it is kept as the part's result."""


def run_part(part: Part, pace: Pace) -> Record:
    """Return the record of a part, whether it succeeded or not."""
    quiet = measure_quiet()
    machine = describe_machine()
    machine["gflops"] = round(measure_gflops(machine["cores"]), 1)
    started = time.monotonic()
    values, error = {}, None
    try:
        values = part.run(pace)
    except FAILURES as failure:
        error = _explain(failure)
    return Record(
        part=part.name,
        values=values,
        machine=machine,
        quiet=quiet,
        seconds=round(time.monotonic() - started, 1),
        quick=pace.quick,
        error=error,
    )


def _explain(failure: BaseException) -> str:
    output = getattr(failure, "stderr", None)
    return f"{type(failure).__name__}: {failure}" + (f"\n{output}" if output else "")


def choose_parts(glob: str | None) -> list[Part]:
    """Return the parts whose name matches, all without a pattern.

    Raises:
        SystemExit: if none does.
    """
    chosen = [part for name, part in PARTS.items() if glob is None or fnmatch.fnmatch(name, glob)]
    if not chosen:
        raise SystemExit(f"no part is called {glob}; there are {', '.join(PARTS)}")
    return chosen


def print_parts(parts: Sequence[Part]) -> None:
    """Print what would be run and how long it takes."""
    done = load_records(FOLDER)
    for part in parts:
        print(f"  {part.name:<18} {part.seconds:>5.0f} s  {'done  ' if part.name in done else '      '}{part.title}")
    print(f"  about {sum(part.seconds for part in parts) / 60:.0f} minutes, and the peers' environments once")


def make_report(records: dict[str, Record]) -> str:
    """Return all tables, as docs/performance.md holds them."""
    pieces = [
        make_main_table(records),
        make_actor_table(records),
        make_model_tables(records),
        describe_records(records),
    ]
    return "\n\n".join(piece for piece in pieces if piece)


def make_environments() -> None:
    """Make the peers' environments that are not there; a failure shows again in the parts that need them."""
    for peer in PEERS.values():
        if not is_made(peer):
            print(f"Making an environment for {peer.title} ...", flush=True)
            try:
                make_environment(peer)
            except (OSError, subprocess.SubprocessError) as failure:
                print(_explain(failure))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure this machine. See benchmarks/README.md.")
    parser.add_argument("--list", action="store_true", help="show the parts and their minutes")
    parser.add_argument("--part", metavar="GLOB", help="only the parts of this name")
    parser.add_argument("--quick", action="store_true", help="shortest measurements: shows that everything runs")
    parser.add_argument("--resume", action="store_true", help="leave out parts that have a result")
    parser.add_argument("--keep", action="store_true", help="move the results into the repository and the document")
    given = parser.parse_args()
    end_politely()
    parts = choose_parts(given.part)
    if given.list:
        print_parts(parts)
        return
    if given.keep:
        keep_results(FOLDER, PERFORMANCE)
        renew(PERFORMANCE)
        return
    if any("peer" in part.name or part.name.startswith("train") for part in parts):
        make_environments()
    _run(parts, QUICK if given.quick else Pace(), given.resume)
    print("\n" + make_report(load_records(FOLDER)))


def _run(parts: Sequence[Part], pace: Pace, resume: bool) -> None:
    done = load_records(FOLDER)
    for number, part in enumerate(parts, start=1):
        if resume and part.name in done and done[part.name].error is None:
            continue
        print(f"[{number}/{len(parts)}] {part.title} (about {part.seconds:.0f} s)", flush=True)
        record = run_part(part, pace)
        save_record(FOLDER, record)
        if is_busy(dict(record.quiet), record.machine["cores"]):
            print(f"  the machine was busy: others used {record.quiet['others_cores']} cores")
        print("  " + (record.error or json.dumps(record.values)[:300]), flush=True)


if __name__ == "__main__":
    main()
