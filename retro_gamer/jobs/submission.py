"""Submitting a run to a cluster as a Ray job: checked here, sent, and remembered beside the run."""

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

from retro_gamer.errors import UsageError, printable
from retro_gamer.games.loading.find import GameSource
from retro_gamer.jobs.client import JobServer, UnreachableError
from retro_gamer.jobs.package import Package, plan_package
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import CheckpointFile, RunDirectory
from retro_gamer.run.files import write_atomic
from retro_gamer.run.mirror import hide_secrets
from retro_gamer.training.planning.allocation import ClusterOptions
from retro_gamer.training.preparation import ResumePoint, prepare

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


_UNUSUAL = re.compile(r"[^A-Za-z0-9]+")
START_SECONDS = 60.0
RETRY_SECONDS = 2.0
STOP_SECONDS = 120
"""What a job is given to write its last checkpoint when it is stopped."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobPlan:
    """A job as it would be sent."""

    submission_id: str
    run_dir: Path
    package: Package
    entrypoint: str
    env_vars: dict[str, str]
    resume: ResumePoint | None
    options: ClusterOptions
    n_actors: int | None
    minutes: float | None
    storage: str | None

    def describe(self) -> str:
        """Return the job in words."""
        files = sorted(self.package.files, key=lambda file: file.name)
        own = [file for file in files if not file.name.startswith("retro_gamer/")]
        lines = [
            f"Job:        {self.submission_id}",
            f"Command:    {self.entrypoint}",
            *(f"Set there:  {name}={value}" for name, value in self.env_vars.items()),
            f"Sent:       {len(files)} files, {self.package.size_bytes / 1e6:.1f} MB: this program and",
            *(f"  {file.name}  {file.size_bytes:,} B" for file in own),
            *(f"Left here:  {name}, because it is large" for name in self.package.left_out),
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
    """Return the job for a run, its game opened and played for a moment here, so that most faults are found before.

    Raises:
        RetroGamerError: whatever `retro-gamer train` would refuse.
    """
    if storage is not None and hide_secrets(storage) != storage:
        raise UsageError(
            f"--storage {hide_secrets(storage)}: a user, password or query in it would be seen by everybody who sees "
            "the job. Give the cluster's nodes the right to it instead (for S3: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in their environment, or a role)."
        )
    prepared, point = prepare(directory, load_config(directory.path), resume=resume)
    package = plan_package(prepared.run_spec.source, directory, point)
    assert package.source is not None
    name = _UNUSUAL.sub("-", directory.path.resolve().name)[:40]
    submission_id = f"retro-gamer-{name}-{secrets.token_hex(4)}"
    return JobPlan(
        submission_id=submission_id,
        run_dir=directory.path.resolve(),
        package=package,
        entrypoint=make_entrypoint(submission_id, package.source, options, n_actors, minutes, point, storage),
        env_vars={"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)},
        resume=point,
        options=options,
        n_actors=n_actors,
        minutes=minutes,
        storage=storage,
    )


def make_entrypoint(
    submission_id: str,
    game: GameSource,
    options: ClusterOptions,
    n_actors: int | None,
    minutes: float | None,
    resume: ResumePoint | None,
    storage: str | None,
) -> str:
    """Return the command a job runs in its unpacked package."""
    arguments = ["python", "-m", "retro_gamer", "job", submission_id, json.dumps(dataclasses.asdict(game))]
    given = {
        "--actors": n_actors,
        "--minutes": minutes,
        "--learner-cpus": options.learner_cpus,
        "--gpus": options.gpus or None,
        "--retries": options.retries,
        "--wait-seconds": f"{options.wait_seconds:g}",
        "--resume": resume.name if resume else None,
        "--storage": storage,
    }
    for name, value in given.items():
        arguments += [] if value is None else [name, str(value)]
    return f"exec {shlex.join(arguments)}"


def send_job(server: JobServer, plan: JobPlan, directory: RunDirectory) -> JobRecord:
    """Upload the package, start the job and note it in the run directory.

    Raises:
        ClusterError: if the cluster cannot be reached or refuses.
    """
    with tempfile.TemporaryDirectory(prefix="retro-gamer-") as folder:
        path = Path(folder) / "package.zip"
        digest = plan.package.write(path)
        uri = server.upload(f"_ray_pkg_{digest[:32]}.zip", path.read_bytes())
    runtime_env = {"working_dir": uri, "env_vars": plan.env_vars}
    _submit(server, plan, runtime_env)
    record = JobRecord(
        address=server.address,
        submission_id=plan.submission_id,
        storage=plan.storage,
        resumed_from=_name_origin(directory, plan.resume.file) if plan.resume else None,
        episodes=plan.resume.episodes if plan.resume else 0,
    )
    record.save(directory.path)
    return record


def _name_origin(directory: RunDirectory, file: CheckpointFile) -> str:
    own = directory.find_own(file)
    return own.name if own is not None else str(file.path.resolve())


def _submit(server: JobServer, plan: JobPlan, runtime_env: dict[str, Any]) -> None:
    """Start the job; a cluster that has just come up is given a minute, and a job that it has is not sent twice."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.submit(plan.submission_id, plan.entrypoint, runtime_env, {"run": plan.run_dir.name})
            return
        except UnreachableError:
            if server.knows(plan.submission_id):
                return
            if time.monotonic() > deadline:
                raise
        threading.Event().wait(RETRY_SECONDS)
