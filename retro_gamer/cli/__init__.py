"""The command line: the only part of the package that prints or exits.

Modules that take long to import are imported inside the commands that need them, so that ``--help`` stays fast.
"""

from __future__ import annotations

import faulthandler
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from retro_gamer.cli.commands.options import Debug, Invocation
from retro_gamer.errors import RetroGamerError, UsageError, printable
from retro_gamer.version import __version__

PROGRAM = "retro-gamer"


def main() -> None:
    """Run the command line of this process and exit with its status."""
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the terminal's encoding lacks must not end the command.
            stream.reconfigure(errors="backslashreplace")
    if sys.stderr is not None:
        faulthandler.enable()  # a game that crashes in this process leaves nothing else to find its line by
    sys.exit(run(sys.argv[1:]))


def _open_missing_streams() -> None:
    """Open what the shell closed (``2>&-``) to nowhere: the next file of ours would take its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number, which is this
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115  # as long as the process
            setattr(sys, name, stream)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status: 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C."""
    invocation = Invocation()
    try:
        _check_working_directory()
        make_app()(args=list(arguments), prog_name=PROGRAM, obj=invocation)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        return _report(error, invocation.debug)
    return 0


def _check_working_directory() -> None:
    """Raise UsageError without one: the libraries for mathematics would end the process."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UsageError("the working directory was deleted. Change to one that exists, for example: cd ~") from None


def _report(error: Exception, debug: bool) -> int:
    """Print the error, with its traceback if `debug`, and return the exit status."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, RetroGamerError):
        message, status = str(error), error.exit_code
    elif isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        message, status = f"{error.strerror or error}{place}", 1
    else:
        message, status = f"{type(error).__name__}: {error}\nThis is a bug in {PROGRAM}.", 1
        message += "" if debug else " Please run the command again with --debug and report the traceback."
    print(f"Error: {printable(message).rstrip()}", file=sys.stderr)
    return status


class Commands(TyperGroup):
    """The group of all commands."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command. Ctrl-C exits with status 130 under every version of typer."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(130) from None


def make_app() -> typer.Typer:
    """Return the command line with all commands."""
    from retro_gamer.cli.commands.check import check
    from retro_gamer.cli.commands.cluster import attach, job, submit
    from retro_gamer.cli.commands.create import create
    from retro_gamer.cli.commands.evaluate import evaluate
    from retro_gamer.cli.commands.info import info
    from retro_gamer.cli.commands.play import play
    from retro_gamer.cli.commands.train import train

    app = typer.Typer(
        cls=Commands,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,  # its panels truncate the longer option names at 80 columns
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help=_about.__doc__,
    )
    app.callback()(_about)
    for command in (check, create, train, play, evaluate, info, submit, attach):
        app.command()(command)
    app.command(hidden=True)(job)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _about(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Train deep Q-learning agents to play terminal games made with retro-games, and watch them play."""
