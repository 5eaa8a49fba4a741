"""Submitting a run to a cluster as a Ray job: the job is checked here, sent, and noted in the run directory."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import shlex
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from retro_gamer.errors import UsageError, first_line, printable
from retro_gamer.jobs.client import JobServer, UnreachableError
from retro_gamer.jobs.package import Package, plan_package
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.files import parse_json, read_file, read_record, write_atomic
from retro_gamer.run.mirror import hide_secrets
from retro_gamer.training.planning.allocation import ClusterOptions, check_options
from retro_gamer.training.preparation import ResumePoint, prepare

NOTE_NAME = ".job.json"
LARGEST_NOTE = 100_000
"""Bytes of a job note that is read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobNote:
    """What the run directory remembers of its job. It contains no secret."""

    address: str
    submission_id: str
    storage: str | None
    resumed_from: str | None
    """The checkpoint the job continues from: the name of one of this run, the absolute path of any other."""
    episodes: int
    """Episodes of that checkpoint."""
    is_rewound: bool = False
    """Whether the later checkpoints of this directory have been moved aside."""

    def save(self, run_dir: Path) -> None:
        """Write the note into the run directory."""
        write_atomic(run_dir / NOTE_NAME, json.dumps(dataclasses.asdict(self), indent=2).encode())


def load_job_note(run_dir: Path) -> JobNote:
    """Return the note in a run directory.

    Raises:
        UsageError: if there is none, or it is damaged.
    """
    try:
        note = read_record(JobNote, parse_json(read_file(run_dir / NOTE_NAME, LARGEST_NOTE), LARGEST_NOTE))
        texts = [note.address, note.submission_id, note.storage or "", note.resumed_from or ""]
        if not 0 <= note.episodes < 10**18 or not all(map(str.isprintable, texts)):
            raise ValueError("its values are out of range")
        return note
    except FileNotFoundError:
        command = f"retro-gamer submit {shlex.quote(str(run_dir))}"
        raise UsageError(printable(f"{run_dir} was not submitted to a cluster. To submit it: {command}")) from None
    except (ValueError, TypeError, OSError) as error:
        reason = first_line(error)
        raise UsageError(printable(f"{run_dir / NOTE_NAME} is damaged ({reason}). Submit the run again")) from error


START_SECONDS = 60.0
"""How long `send_job` retries while a cluster is starting."""
RETRY_SECONDS = 2.0
STOP_SECONDS = 120
"""The time Ray gives a job to write its last checkpoint after a request to stop."""
ENVIRONMENT = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}
"""The environment variables of a job."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobPlan:
    """A job before it is sent."""

    submission_id: str
    run_dir: Path
    package: Package
    resume: ResumePoint | None
    options: ClusterOptions
    n_actors: int | None
    minutes: float | None
    storage: str | None

    @property
    def entrypoint(self) -> str:
        """The command that the job runs in its unpacked package."""
        assert self.package.source is not None
        game = json.dumps(dataclasses.asdict(self.package.source))
        options = self.train_options(resume=self.resume.name if self.resume else None)
        return f"exec {shlex.join(['python', '-m', 'retro_gamer', 'job', self.submission_id, game, *options])}"

    def train_options(self, *, resume: str | None) -> list[str]:
        """Return the options for `train` or `job`; `resume` is the checkpoint's name or path there."""
        values = {
            "--actors": self.n_actors,
            "--minutes": self.minutes,
            "--learner-cpus": self.options.learner_cpus,
            "--gpus": self.options.gpus or None,
            "--retries": self.options.retries,
            "--wait-seconds": f"{self.options.wait_seconds:g}",
            "--resume": resume,
            "--storage": self.storage,
        }
        return [text for name, value in values.items() if value is not None for text in (name, str(value))]

    def describe(self) -> str:
        """Return the job as text."""
        files = sorted(self.package.files, key=lambda file: file.name)
        own = [file for file in files if not file.name.startswith("retro_gamer/")]
        lines = [
            f"Job:          {self.submission_id}",
            f"Command:      {self.entrypoint}",
            *(f"Environment:  {name}={value}" for name, value in ENVIRONMENT.items()),
            f"Package:      {len(files):,} files, {self.package.size_bytes / 1e6:.1f} MB: retro-gamer and",
            *(f"  {file.name}  {file.size_bytes:,} B" for file in own),
            *(f"Left out:     {name}, too large" for name in self.package.left_out),
        ]
        return "\n".join(lines)


def plan_job(
    directory: RunDirectory,
    *,
    options: ClusterOptions,
    n_actors: int | None = None,
    minutes: float | None = None,
    resume: str | None = None,
    storage: str | None = None,
) -> JobPlan:
    """Return the job for a run. The game is opened and played briefly here, so that most errors show up before.

    Raises:
        RetroGamerError: whatever `retro-gamer train` would refuse.
    """
    check_options(n_actors, minutes, options)
    if storage is not None and hide_secrets(storage) != storage:
        raise UsageError(
            f"--storage {hide_secrets(storage)}: everybody who can list the job could read a user, password or query "
            "in it. Give the cluster's nodes access to the storage instead (for S3: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in their environment, or a role)."
        )
    prepared, point = prepare(directory, load_config(directory.path), resume=resume)
    name = re.sub(r"[^A-Za-z0-9]+", "-", directory.path.resolve().name)[:40]
    return JobPlan(
        submission_id=f"retro-gamer-{name}-{secrets.token_hex(4)}",
        run_dir=directory.path.resolve(),
        package=plan_package(prepared.run_spec.source, directory, point),
        resume=point,
        options=options,
        n_actors=n_actors,
        minutes=minutes,
        storage=storage,
    )


def send_job(server: JobServer, plan: JobPlan, directory: RunDirectory) -> JobNote:
    """Upload the package, start the job, and write the job note into the run directory.

    Raises:
        ClusterError: if the cluster cannot be reached or refuses the job.
    """
    with tempfile.TemporaryDirectory(prefix="retro-gamer-") as folder:
        path = Path(folder) / "package.zip"
        digest = plan.package.write(path)
        uri = server.upload(f"_ray_pkg_{digest[:32]}.zip", path.read_bytes())
    _start(server, plan, {"working_dir": uri, "env_vars": ENVIRONMENT})
    origin = None
    if plan.resume is not None:
        own = directory.find_own(plan.resume.file)
        origin = own.name if own is not None else str(plan.resume.file.path.resolve())
    note = JobNote(
        address=server.address,
        submission_id=plan.submission_id,
        storage=plan.storage,
        resumed_from=origin,
        episodes=plan.resume.episodes if plan.resume else 0,
    )
    note.save(directory.path)
    return note


def _start(server: JobServer, plan: JobPlan, runtime_env: dict[str, Any]) -> None:
    """Start the job. Retry while the cluster is starting, but never submit a job twice."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return server.submit(plan.submission_id, plan.entrypoint, runtime_env, {"run": plan.run_dir.name})
        except UnreachableError:
            if server.knows(plan.submission_id):
                return
            if time.monotonic() > deadline:
                raise
        threading.Event().wait(RETRY_SECONDS)
