"""Damaged and hostile files, for each kind of file that a stranger may hand over: what does loading one end in?

    python -m benchmarks.fuzz --mutations 5000    a longer run than that of the tests, with other seeds

A mutation may end in three ways: the file loads the same, it is refused with one message, or it is passed over with a
word. Anything else is a failure: other content loads, an exception is not for the user, it takes over ten seconds.
Files without a digest may also load with other content that is valid: a changed digit in a text is no damage.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import random
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from retro_gamer.errors import RetroGamerError
from retro_gamer.features.spec import make_spec
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.pyproject import read_section
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.jobs.client import JobServer
from retro_gamer.jobs.submission import NOTE_NAME, JobNote, load_job_note
from retro_gamer.learning.checkpoint import dump_checkpoint, hash_content, load_checkpoint, values_to_match
from retro_gamer.learning.learner import Learner
from retro_gamer.replay.buffer import ReplayBuffer
from retro_gamer.replay.snapshot import read_snapshot, write_snapshot
from retro_gamer.replay.transitions import Block
from retro_gamer.run.config import RunConfig, load_config, write_config
from retro_gamer.run.events import Progress
from retro_gamer.run.log import EpisodeLine, TrainingLog
from retro_gamer.run.status import FileMark, RunStatus, parse_status

SAME, REFUSED, PASSED_OVER = "loads the same", "refused with one message", "passed over with a word"
LOADS = "loads other content that is valid"
"""Allowed only for files without a digest, see `Target.has_digest`."""
LONGEST_SECONDS = 10
PAGE_BYTES = 4096
HOSTILE: tuple[Any, ...] = (
    2**63, 2**200, -1, -(2**63), 0.5, 1e308, float("nan"), float("inf"), True, None, "", "\x1b[31m", "\0",
    "x" * 100_000, [], {}, [[[]]], {"number": "nan"}, {"number": []},
)  # fmt: skip
"""Values in place of any field."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A kind of file: a whole one, how it is loaded, and the errors that may refuse it.

    load: returns the content in a form that can be compared; None if the file was passed over
    variants: hostile files made field by field
    has_digest: whether other content must never load
    """

    whole: bytes
    load: Callable[[bytes], Any]
    variants: Callable[[], Iterator[bytes]]
    refusals: tuple[type[Exception], ...] = (RetroGamerError,)
    has_digest: bool = False


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return `data` with one raw damage: flipped bits, a cut, zeros, bytes that were lost, doubled or replaced."""
    damaged = bytearray(data)
    place, kind = rng.randrange(len(data)), rng.randrange(7)
    if kind <= 1:
        for _ in range(1 if kind == 0 else rng.randrange(2, 20)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        return data[:place]
    elif kind == 3:
        page = place // PAGE_BYTES * PAGE_BYTES if len(data) > PAGE_BYTES else place
        length = len(data[page : page + PAGE_BYTES])
        damaged[page : page + length] = bytes(length)
    elif kind == 4:
        del damaged[place : place + rng.randrange(1, 100)]
    elif kind == 5:
        damaged[place:place] = damaged[place : place + rng.randrange(1, 100)]
    else:
        damaged[place : place + 8] = rng.randbytes(8)
    return bytes(damaged)


def try_target(target: Target, data: bytes) -> str:
    """Return what loading `data` ended in: one of the allowed outcomes, or a description of the failure."""
    signal.signal(signal.SIGALRM, _raise_timeout)
    signal.alarm(LONGEST_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = target.load(data)
    except target.refusals as error:
        text = str(error)
        is_message = text.strip() and all(c in "\n\t" or c.isprintable() for c in text) and len(text) < 20_000
        return REFUSED if is_message else f"a message unfit for a terminal: {text[:200]!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
    if content is None:
        return PASSED_OVER
    if content == target.load(target.whole):
        return SAME
    return "loads as something else" if target.has_digest else LOADS


def _raise_timeout(signum: int, frame: object) -> None:
    raise TimeoutError(f"no answer for {LONGEST_SECONDS} seconds")


ALLOWED = (SAME, REFUSED, PASSED_OVER, LOADS)


def run_target(target: Target, n_mutations: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Return how many of the raw mutations and variants ended how, and a line for each failure."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    failures = []
    for data in [*target.variants(), *(mutate(target.whole, rng) for _ in range(n_mutations))]:
        outcome = try_target(target, data)
        counts[outcome if outcome in ALLOWED else "failure"] += 1
        if outcome not in ALLOWED:
            failures.append(f"{outcome} ({len(data)} bytes: {data[:60]!r})")
    return counts, failures


def replace_fields(values: Any, hostile: tuple[Any, ...] = HOSTILE) -> Iterator[Any]:
    """Yield `values` with each field, at any depth, removed or replaced by each hostile value; and with one more."""
    if isinstance(values, dict):
        yield {**values, "unknown": 1}
        for name, value in values.items():
            yield {key: each for key, each in values.items() if key != name}
            yield from ({**values, name: bad} for bad in hostile)
            yield from ({**values, name: changed} for changed in replace_fields(value, hostile))
    elif isinstance(values, list) and values:
        yield from ([bad, *values[1:]] for bad in hostile)


METADATA = GameMetadata(
    actions=("KEY_LEFT", "KEY_RIGHT"), reward="score", character_set=("@", "#"), board_size=(6, 4), spatial=True
)
SETTINGS = Hyperparameters(n_layers=1, layer_size=16, crop_radius=2, batch_size=4, memory_capacity=64)


def make_state() -> dict[str, Any]:
    """Return the state of a small checkpoint, as training writes it."""
    spec = make_spec(METADATA, SETTINGS, has_player=False)
    learner = Learner(dataclasses.replace(spec, spatial=False, dueling=False), SETTINGS, ("@", "#"))
    return {
        **learner.get_state(),
        "epsilon": 0.5, "episode": 100, "total_turns": 4000, "slack_turns": -3, "recent_rewards": [1.0, 2.0],
        "largest_reward": 1.0, "replay_snapshot": "ep_0100-01234567.npz", "characters": ["@", "#"],
        "spec": dataclasses.asdict(learner.spec), "must_match": values_to_match(METADATA, SETTINGS), "player": None,
        "hyperparameters": dataclasses.asdict(SETTINGS),
    }  # fmt: skip


def _checkpoint_variants() -> Iterator[bytes]:
    state = make_state()
    hostile = (*HOSTILE, torch.tensor(1), torch.zeros(1).expand(10**6, 10**6), {"w": torch.tensor([float("nan")])})
    names = [name for name in state if name not in ("hyperparameters", "spec", "must_match")]
    changed = [{**state, name: bad} for name in names for bad in hostile]
    changed += [{**state, "format_version": bad} for bad in hostile if bad is not True]
    for each in changed:
        buffer = io.BytesIO()
        torch.save({"format": "retro-gamer checkpoint", "format_version": 1, **each}, buffer)
        yield buffer.getvalue()


def _load_checkpoint(data: bytes) -> str:
    return hash_content(load_checkpoint(data, "ep_0100.pt"))


def checkpoint_target() -> Target:
    """Return the target for checkpoints."""
    whole = dump_checkpoint(make_state())
    return Target(whole=whole, load=_load_checkpoint, variants=lambda: iter(()), has_digest=True)


def checkpoint_fields_target() -> Target:
    """Return the target for older checkpoints, which have no digest, field by field."""
    state = make_state()
    buffer = io.BytesIO()
    torch.save({"format": "retro-gamer checkpoint", "format_version": 1, **state}, buffer)
    return Target(whole=buffer.getvalue(), load=_load_checkpoint, variants=_checkpoint_variants)


def make_buffer() -> ReplayBuffer:
    """Return an empty replay memory for the small board."""
    return ReplayBuffer(capacity=64, height=4, width=6, n_state=0, prioritized=True, seed=3)


def _filled() -> ReplayBuffer:
    rng, buffer = np.random.default_rng(5), make_buffer()
    buffer.push(
        Block(
            codes=rng.integers(0, 3, (33, 4, 6), np.uint8), player=np.zeros((33, 2), np.int16),
            state=np.zeros((33, 0), np.float32), first=np.arange(32, dtype=np.int32),
            next=np.arange(1, 33, dtype=np.int32), action=np.zeros(32, np.uint8),
            returns=rng.random(32, np.float32), discounts=np.full(32, 0.9, np.float32),
            priorities=np.ones(32, np.float32), turns=32,
        )
    )  # fmt: skip
    return buffer


def _snapshot_of(state: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    write_snapshot(state, file)
    return file.getvalue()


def _snapshot_variants() -> Iterator[bytes]:
    state = _filled().get_state()
    plain = {name: value for name, value in state.items() if not isinstance(value, np.ndarray)}
    for changed in replace_fields(plain):
        yield _snapshot_of({**state, **dict.fromkeys(plain), **changed})
    for name in state.keys() - plain.keys():
        array = state[name]
        odd = (array.astype(np.complex128), array[:1], array.reshape(-1), array[None], np.array(1.0), None)
        yield from (_snapshot_of({**state, name: value}) for value in odd)
        if array.size:
            extreme = (np.iinfo(array.dtype).max if array.dtype.kind in "iu" else np.inf, -1)
            yield from (_snapshot_of({**state, name: np.full(array.shape, x).astype(array.dtype)}) for x in extreme)


def _load_snapshot(data: bytes) -> Any:
    """Restore and draw, as training does next; return what is drawn."""
    buffer = make_buffer()
    buffer.set_state(read_snapshot(data, 10_000_000))
    (batch,) = buffer.sample(1, 16)
    state = buffer.get_state()
    return [getattr(batch, name).tobytes() for name in batch.__dataclass_fields__], str(state)


def snapshot_target() -> Target:
    """Return the target for snapshots; training starts with an empty memory after a ValueError."""
    whole = _snapshot_of(_filled().get_state())
    return Target(whole=whole, load=_load_snapshot, variants=lambda: iter(()), refusals=(ValueError,), has_digest=True)


def snapshot_fields_target() -> Target:
    """Return the target for snapshots that a stranger wrote field by field, with a digest that is right."""
    whole = _snapshot_of(_filled().get_state())
    return Target(
        whole=whole, load=_load_snapshot, variants=_snapshot_variants, refusals=(ValueError, KeyError, TypeError)
    )


def make_status() -> dict[str, Any]:
    """Return the values of a status."""
    progress = Progress(
        episodes=3, training_episodes=9, turns=40, updates=4, turns_per_second=1.0, updates_per_second=1.0,
        mean_reward=float("nan"), epsilon=0.5, learning_rate=0.1, loss=0.1, turns_per_update=1.0,
        target_turns_per_update=1, elapsed_seconds=1.0, seconds_left=1.0, n_actors=1,
    )  # fmt: skip
    outcome = {
        "episodes": 9, "training_episodes": 9, "turns": 90, "updates": 9, "seconds": 2.5, "complete": True,
        "signal_number": None, "checkpoint": "final",
    }  # fmt: skip
    status = RunStatus(
        state="running", text="text", notes=("one",), first_note=0, progress=dataclasses.asdict(progress),
        outcome=outcome, error=None, files={"config.toml": FileMark(size_bytes=3, sha256="ab" * 32)},
    )  # fmt: skip
    values: dict[str, Any] = json.loads(status.to_bytes())
    return values


def _json_variants(values: dict[str, Any]) -> Iterator[bytes]:
    yield from (json.dumps(changed).encode() for changed in replace_fields(values))
    for nested in (
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 900 + b"]" * 900,
        b'{"files":' * 5000 + b"1" + b"}" * 5000,
    ):
        yield nested
        yield json.dumps({**values, "text": "X"}).encode().replace(b'"X"', nested)
    yield from (b"", b"null", b"\xff\xfe", b"1e999", b"9" * 10_000, json.dumps(values).encode() + b" " * 20_000_000)


def _load_status(data: bytes) -> Any:
    status = parse_status(data)
    return repr((status, status.read_progress(), status.read_outcome()))


def status_target() -> Target:
    """Return the target for status.json."""
    values = make_status()
    whole = json.dumps(values).encode()
    return Target(whole=whole, load=_load_status, variants=lambda: _json_variants(values))


def job_note_target(folder: Path) -> Target:
    """Return the target for .job.json, up to the client of the server that it names."""
    note = JobNote(
        address="http://127.0.0.1:8265", submission_id="retro-gamer-snake-01234567", storage=None,
        resumed_from="ep_0100", episodes=100,
    )  # fmt: skip
    path = folder / NOTE_NAME

    def load(data: bytes) -> Any:
        path.write_bytes(data)
        found = load_job_note(folder)
        return found, JobServer(found.address).address

    values = dataclasses.asdict(note)
    whole = json.dumps(values).encode()
    return Target(whole=whole, load=load, variants=lambda: _json_variants(values))


def config_target(folder: Path) -> Target:
    """Return the target for config.toml."""
    path = write_config(folder, RunConfig(source=None, metadata=METADATA, hyperparameters=SETTINGS))

    def load(data: bytes) -> Any:
        path.write_bytes(data)
        return repr(load_config(folder))

    return Target(whole=path.read_bytes(), load=load, variants=_toml_variants)


def _toml_variants() -> Iterator[bytes]:
    spellings = (
        "9" * 30,
        "-1",
        "nan",
        "inf",
        "1e308",
        '""',
        '"\\u001b[31m"',
        "[]",
        "{}",
        "[[[[]]]]",
        "1979-05-27",
        "true",
    )
    names = ("seed", "gamma", "batch_size", "n_layers", "memory_capacity", "snapshot_megabytes")
    for table, fields in (("hyperparameters", names), ("metadata", ("actions", "reward", "board_size", "end"))):
        for name in fields:
            yield from (f"[run]\nformat_version = 1\n[{table}]\n{name} = {text}\n".encode() for text in spellings)
    yield from (b"a = " + b"[" * 100_000, b"a." * 50_000 + b"b = 1", b"[" + b"a." * 5000 + b"b]", b"\xef\xbb\xbf" * 3)


DESCRIPTION = b"""[tool.retro-gamer]
actions = ["KEY_LEFT", "KEY_RIGHT"]
reward = "score"
character_set = ["@", "#"]
observe_state = ["lives"]
spatial = true
"""


def description_target(folder: Path) -> Target:
    """Return the target for a description in pyproject.toml."""
    path = folder / "pyproject.toml"

    def load(data: bytes) -> Any:
        path.write_bytes(data)
        section = read_section(path)
        return None if section is None else GameMetadata.from_mapping(section, "pyproject.toml")

    def variants() -> Iterator[bytes]:
        for text in (
            "9" * 30,
            "nan",
            '""',
            '"\\u001b"',
            "[]",
            "{}",
            "[[[]]]",
            '["\\u001b"]',
            "[1]",
            "true",
            "0x" + "f" * 99,
        ):
            for name in ("actions", "reward", "character_set", "observe_state", "spatial", "player", "answers", "end"):
                yield b"[tool.retro-gamer]\n" + f"{name} = {text}\n".encode()
                yield DESCRIPTION.replace(b"spatial = true", f"{name} = {text}".encode())
        yield b"[tool.retro-gamer]\na = " + b"[" * 100_000

    return Target(whole=DESCRIPTION, load=load, variants=variants)


def log_target(folder: Path) -> Target:
    """Return the target for training.log: read, rewound and continued. A damaged line is passed over."""
    path = folder / "training.log"
    log = TrainingLog(path)
    log.write_header("Network")
    for number in range(1, 20):
        log.write_episode(EpisodeLine(episode=number, total_reward=1.5, steps=10, epsilon=0.5, avg_loss=0.25))
    log.close()
    whole = path.read_bytes()

    def load(data: bytes) -> Any:
        path.write_bytes(data)
        log = TrainingLog(path)
        found = log.read_episodes()
        with mock.patch("os.fsync"):  # it takes most of the time
            log.rewind(10).unlink()
        log.write_episode(EpisodeLine(episode=11, total_reward=1.5, steps=10, epsilon=0.5, avg_loss=0.25))
        log.close()
        assert log.read_episodes()[-1].episode == 11
        return found

    def variants() -> Iterator[bytes]:
        for text in (b"9" * 5000, b"-1", b"nan", b"", b"\xff", b"\0", b"\x1b[31m", "٣".encode()):
            for field in (b"0003", b"1.5", b"10", b"0.5", b"0.25"):
                yield whole.replace(
                    b"[EP 0003] total_reward=1.5 steps=10 epsilon=0.5 avg_loss=0.25".replace(field, text), b""
                )
                yield whole.replace(b"=" + field, b"=" + text)
        yield from (b"", b"\n" * 100_000, b"\0" * 100_000, whole[:-1], b"x" * 1_000_000)

    return Target(whole=whole, load=load, variants=variants)


def make_targets(folder: Path) -> dict[str, Target]:
    """Return the target for each kind of file; `folder` is theirs to write in."""
    return {
        "checkpoint": checkpoint_target(),
        "checkpoint without a digest": checkpoint_fields_target(),
        "snapshot": snapshot_target(),
        "snapshot by a stranger": snapshot_fields_target(),
        "status.json": status_target(),
        ".job.json": job_note_target(folder),
        "config.toml": config_target(folder),
        "description": description_target(folder),
        "training.log": log_target(folder),
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the outcomes of each target; return 1 if there was a failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=5000, help="raw mutations of each kind of file")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    n_failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, target in make_targets(Path(folder)).items():
            counts, failures = run_target(target, options.mutations, options.seed)
            print(
                f"{name:<28} {', '.join(f'{outcome}: {count}' for outcome, count in sorted(counts.items()))}",
                flush=True,
            )
            print("".join(f"    {failure}\n" for failure in failures[:20]), end="")
            n_failures += len(failures)
    return int(n_failures > 0)


if __name__ == "__main__":
    sys.exit(main())
