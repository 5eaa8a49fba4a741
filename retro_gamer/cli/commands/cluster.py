"""``retro-gamer submit`` and ``attach``: a run that is trained as a job on a cluster. ``job`` is what the job runs."""

from __future__ import annotations

import contextlib
import enum
import json
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retro_gamer.cli.commands import options
from retro_gamer.errors import ClusterError
from retro_gamer.training.planning.allocation import ClusterOptions

if TYPE_CHECKING:
    from retro_gamer.jobs.client import JobServer
    from retro_gamer.jobs.submission import JobNote, JobPlan
    from retro_gamer.run.directory import RunDirectory


class Format(enum.StrEnum):
    """What `--dry-run` prints."""

    text = "text"
    rayjob = "rayjob"
    slurm = "slurm"


Address = Annotated[
    str,
    typer.Option(
        "--address", metavar="URL", show_default=False, help="The cluster's dashboard, such as http://HEAD:8265."
    ),
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Exit when the job is accepted; 'retro-gamer attach' follows it later.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and print the job without sending it.")]
PackageFile = Annotated[
    Path | None,
    typer.Option(
        "--package", metavar="FILE", show_default=False, help="With --dry-run: write the job's package to this file."
    ),
]
FormatOption = Annotated[
    Format,
    typer.Option("--format", help="With --dry-run: print the job as text, a KubeRay manifest or a Slurm script."),
]


def submit(
    run_dir: options.RunDir,
    address: Address = "http://127.0.0.1:8265",
    actors: options.Actors = None,
    gpus: options.Gpus = 0,
    learner_cpus: options.LearnerCpus = None,
    storage: options.StorageUri = None,
    resume: options.Resume = None,
    minutes: options.Minutes = None,
    retries: options.Retries = ClusterOptions.retries,
    wait_seconds: options.WaitSeconds = ClusterOptions.wait_seconds,
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    package: PackageFile = None,
    output_format: FormatOption = Format.text,
    debug: options.Debug = False,
) -> None:
    """Train a run on a Ray cluster, through its job server.

    Sends the game and the run to the cluster. Log and checkpoints are copied to RUN_DIR during training.
    """
    from retro_gamer.jobs.submission import plan_job, send_job
    from retro_gamer.run.directory import RunDirectory

    directory = RunDirectory.open(run_dir)
    cluster = ClusterOptions(
        address="auto", learner_cpus=learner_cpus, gpus=gpus, retries=retries, wait_seconds=wait_seconds
    )
    server = None if dry_run else _open_server(address)
    versions = server.versions() if server is not None else ""
    plan = plan_job(directory, options=cluster, n_actors=actors, minutes=minutes, resume=resume, storage=storage)
    for problem in plan.resume.skipped if plan.resume else ():
        typer.echo(f"Note: skipped a damaged newer checkpoint: {problem}", err=True)
    if server is None:
        if package is not None:
            plan.package.write(package)
        typer.echo(_format(plan, output_format))
        return
    note = send_job(server, plan, directory)
    typer.echo(
        f"Sent {plan.package.size_bytes / 1e6:.1f} MB to {server.address} ({versions}) as job {note.submission_id}."
    )
    if no_wait:
        typer.echo(f"Follow it or fetch its results:  retro-gamer attach {shlex.quote(str(run_dir))}")
        return
    _follow(directory, note, server)


def _open_server(address: str) -> JobServer:
    from retro_gamer.jobs.client import JobServer, protect_token_file

    remark = protect_token_file()
    if remark is not None:
        typer.echo(f"Note: {remark}", err=True)
    return JobServer(address)


def _format(plan: JobPlan, output_format: Format) -> str:
    from retro_gamer.jobs.manifests import make_rayjob, make_slurm_script

    if output_format is Format.rayjob:
        return make_rayjob(plan)
    if output_format is Format.slurm:
        return make_slurm_script(plan)
    return plan.describe()


def attach(
    run_dir: options.RunDir,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="URL", show_default=False,
            help="The cluster's dashboard. Default: the one the run was submitted to.",
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:  # fmt: skip
    """Follow a submitted run, and copy its results here.

    If the job has ended, fetches what is missing and reports how it ended. Ctrl-C stops the job cleanly.
    """
    from retro_gamer.jobs.submission import load_job_note
    from retro_gamer.run.directory import RunDirectory

    directory = RunDirectory.open(run_dir)
    note = load_job_note(directory.path)
    _follow(directory, note, _open_server(address or note.address))


def _follow(directory: RunDirectory, note: JobNote, server: JobServer) -> None:
    """Follow a job to its end and exit as `train` does."""
    from retro_gamer.cli.commands.train import describe_outcome
    from retro_gamer.cli.display.progress_display import make_display
    from retro_gamer.jobs.following import JobFollower
    from retro_gamer.run.files import RunLock
    from retro_gamer.training.loop.end_conditions import StopRequest

    # A window that closes ends only the following; the job continues.
    stop = StopRequest(heeds_warnings=False)
    with RunLock(directory.path), stop, contextlib.closing(make_display()) as display:
        end = JobFollower(directory, note, server, display, stop).follow()
    failure = end.explain_failure()
    if failure is not None:
        raise ClusterError(failure)
    outcome = end.outcome()
    if outcome is None:
        raise ClusterError(f"the job {note.submission_id} ended without reporting a result")
    typer.echo(describe_outcome(outcome, directory.path))
    if outcome.signal_number is not None:
        raise typer.Exit(128 + (signal.SIGINT if stop.is_made else outcome.signal_number))


def job(
    name: Annotated[str, typer.Argument(help="Name of the job.")],
    game_source: Annotated[str, typer.Argument(help="Where in the package the game is, as JSON.")],
    actors: options.Actors = None,
    gpus: options.Gpus = 0,
    learner_cpus: options.LearnerCpus = None,
    storage: options.StorageUri = None,
    resume: options.Resume = None,
    minutes: options.Minutes = None,
    retries: options.Retries = ClusterOptions.retries,
    wait_seconds: options.WaitSeconds = ClusterOptions.wait_seconds,
    debug: options.Debug = False,
) -> None:
    """Train the run in the package of this job. `submit` starts it on the cluster; it is not meant to be typed."""
    from retro_gamer.cli.display.progress_display import make_display
    from retro_gamer.driver.training_run import run_job
    from retro_gamer.games.loading.find import GameSource

    source = GameSource(**json.loads(game_source))
    cluster = ClusterOptions(
        address="auto", learner_cpus=learner_cpus, gpus=gpus, retries=retries, wait_seconds=wait_seconds
    )
    with contextlib.closing(make_display()) as display:
        outcome = run_job(
            name, source, cluster,
            resume=resume, n_actors=actors, minutes=minutes, storage=storage, display=display,
        )  # fmt: skip
    if outcome.signal_number is not None:
        raise typer.Exit(128 + outcome.signal_number)
