"""``retro-gamer submit``: train a run on a cluster, and bring it home."""

from __future__ import annotations

import enum
import shlex
from pathlib import Path
from typing import Annotated

import typer

from retro_gamer.cli.commands.options import (
    RETRIES,
    WAIT_SECONDS,
    Debug,
    Gpus,
    JobAddress,
    LearnerCpus,
    Retries,
    RunDir,
    StorageUri,
    WaitSeconds,
)
from retro_gamer.cli.commands.train import Actors, Minutes, Resume

DEFAULT_ADDRESS = "http://127.0.0.1:8265"


class Format(enum.StrEnum):
    """What `--dry-run` prints."""

    text = "text"
    rayjob = "rayjob"
    slurm = "slurm"


NoWait = Annotated[bool, typer.Option("--no-wait", help="Return once the job is accepted; 'attach' follows it later.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and print the job, and send nothing.")]
PackageFile = Annotated[
    Path | None,
    typer.Option(
        "--package", metavar="FILE", show_default=False, help="With --dry-run: write there what would be sent."
    ),
]
FormatOption = Annotated[
    Format,
    typer.Option("--format", help="With --dry-run: the job in words, a KubeRay manifest or a Slurm script."),
]


def submit(
    run_dir: RunDir,
    address: JobAddress = DEFAULT_ADDRESS,
    actors: Actors = None,
    gpus: Gpus = 0,
    learner_cpus: LearnerCpus = None,
    storage: StorageUri = None,
    resume: Resume = None,
    minutes: Minutes = None,
    retries: Retries = RETRIES,
    wait_seconds: WaitSeconds = WAIT_SECONDS,
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    package: PackageFile = None,
    output_format: FormatOption = Format.text,
    debug: Debug = False,
) -> None:
    """Train a run on a Ray cluster, through its job server.

    The game and the run are sent there; log and checkpoints come back into RUN_DIR as training proceeds.
    """
    from retro_gamer.cli.commands.attach import follow
    from retro_gamer.jobs.client import JobServer
    from retro_gamer.jobs.submission import plan_job, send_job
    from retro_gamer.run.directory import RunDirectory
    from retro_gamer.training.planning.allocation import ClusterOptions

    directory = RunDirectory.open(run_dir)
    options = ClusterOptions(
        address="auto", learner_cpus=learner_cpus, gpus=gpus, retries=retries, wait_seconds=wait_seconds
    )
    server = None if dry_run else JobServer(address)
    versions = server.versions() if server is not None else ""
    plan = plan_job(directory, options=options, n_actors=actors, minutes=minutes, resume=resume, storage=storage)
    for wrong in plan.resume.passed_over if plan.resume else ():
        typer.echo(f"Note: a newer checkpoint was passed over: {wrong}", err=True)
    if server is None:
        if package is not None:
            plan.package.write(package)
        typer.echo(_format(plan, output_format))
        return
    record = send_job(server, plan, directory)
    typer.echo(
        f"Sent {plan.package.size_bytes / 1e6:.1f} MB to {server.address} ({versions}); the job is "
        f"{record.submission_id}."
    )
    if no_wait:
        typer.echo(f"Follow it, or fetch it when it is over:  retro-gamer attach {shlex.quote(str(run_dir))}")
        return
    follow(directory, record, server)


def _format(plan: object, output_format: Format) -> str:
    from retro_gamer.jobs.manifests import make_rayjob, make_slurm_script
    from retro_gamer.jobs.submission import JobPlan

    assert isinstance(plan, JobPlan)
    if output_format is Format.rayjob:
        return make_rayjob(plan)
    if output_format is Format.slurm:
        return make_slurm_script(plan)
    return plan.describe()
