"""The note in a run directory of the job that trains it, by which `attach` finds it again."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

from retro_gamer.errors import UsageError, printable
from retro_gamer.run.files import write_atomic

NAME = ".job.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobRecord:
    """A job that was submitted. No secret is in it."""

    address: str
    submission_id: str
    storage: str | None
    resumed_from: str | None
    """The checkpoint it went on from: the name of one of this run, the whole path of any other."""
    episodes: int
    """Episodes of that checkpoint."""
    is_rewound: bool = False
    """Whether what came after that checkpoint was moved aside here."""

    def save(self, run_dir: Path) -> None:
        """Write the note into the run directory."""
        write_atomic(run_dir / NAME, json.dumps(dataclasses.asdict(self), indent=2).encode())


def load_record(run_dir: Path) -> JobRecord:
    """Return the note of a run directory.

    Raises:
        UsageError: if there is none, or it cannot be understood.
    """
    try:
        return JobRecord(**json.loads((run_dir / NAME).read_bytes()))
    except FileNotFoundError:
        command = f"retro-gamer submit {shlex.quote(str(run_dir))}"
        raise UsageError(printable(f"{run_dir} was not submitted to a cluster from here. Do so: {command}")) from None
    except (ValueError, TypeError) as error:
        raise UsageError(printable(f"{run_dir / NAME} is damaged ({error}); submit the run again")) from error
