"""The command line as a whole: the commands and what holds for all of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from retro_gamer.cli.commands.options import Debug, Invocation
from retro_gamer.version import __version__

__all__ = ["PROGRAM", "Invocation", "make_app"]

PROGRAM = "retro-gamer"
INTERRUPTED = 130


class Commands(TyperGroup):
    """The group of all commands."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; Ctrl-C ends it with status 130, whatever version of typer is installed."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from None


def make_app() -> typer.Typer:
    """Return the command line."""
    from retro_gamer.cli.commands.attach import attach
    from retro_gamer.cli.commands.check import check
    from retro_gamer.cli.commands.create import create
    from retro_gamer.cli.commands.evaluate import evaluate
    from retro_gamer.cli.commands.info import info
    from retro_gamer.cli.commands.job import job
    from retro_gamer.cli.commands.play import play
    from retro_gamer.cli.commands.submit import submit
    from retro_gamer.cli.commands.train import train

    app = typer.Typer(
        cls=Commands,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,  # its panels cut off the longer option names at 80 columns
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
    """Train agents by deep Q-learning to play terminal games made with retro-games, and watch them play."""
