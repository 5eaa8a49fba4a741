"""``retro-gamer attach``: follow a job that was submitted, or fetch what it left."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from retro_gamer.cli.commands.options import Debug, RunDir
from retro_gamer.errors import ClusterError

if TYPE_CHECKING:
    from retro_gamer.jobs.client import JobServer
    from retro_gamer.jobs.submission import JobRecord
    from retro_gamer.run.directory import RunDirectory

Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="URL", show_default=False,
        help="The cluster's dashboard, if it is at another address than when the run was submitted.",
    ),
]  # fmt: skip


def attach(run_dir: RunDir, address: Address = None, debug: Debug = False) -> None:
    """Follow a submitted run, and bring it home.

    When it has ended, fetch what is missing here and say how it ended. Ctrl-C stops the job cleanly.
    """
    from retro_gamer.jobs.client import JobServer
    from retro_gamer.jobs.submission import load_record
    from retro_gamer.run.directory import RunDirectory

    directory = RunDirectory.open(run_dir)
    record = load_record(directory.path)
    follow(directory, record, JobServer(address or record.address))


def follow(directory: RunDirectory, record: JobRecord, server: JobServer) -> None:
    """Follow a job to its end, show it, and exit as `train` does."""
    from retro_gamer.cli.commands.train import character_statistics
    from retro_gamer.cli.display.progress_display import make_reporter
    from retro_gamer.jobs.following import Attachment, outcome_of
    from retro_gamer.run.files import RunLock
    from retro_gamer.training.loop.end_conditions import StopRequest

    reporter = make_reporter()
    with RunLock(directory.path), StopRequest() as stop:
        try:
            ending = Attachment(directory, record, server, reporter, stop).follow()
        finally:
            reporter.close()
    failure = ending.explain_failure()
    if failure is not None:
        raise ClusterError(failure)
    outcome = outcome_of(ending.status) if ending.status is not None else None
    if outcome is None:
        raise ClusterError(f"the job {record.submission_id} left no word of how it ended")
    typer.echo(character_statistics(outcome, directory.path))
    if outcome.signal_number is not None:
        raise typer.Exit(128 + (signal.SIGINT if stop.is_made else outcome.signal_number))
