"""What people type. The only room that prints or exits.

Nothing heavy is imported until a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import faulthandler
import io
import sys
import traceback
from collections.abc import Sequence

from retro_gamer.cli.app import PROGRAM, Invocation, make_app
from retro_gamer.errors import RetroGamerError, printable


def main() -> None:
    """Run the command line of this process and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A path or a character that the terminal's encoding lacks must not end a command.
            stream.reconfigure(errors="backslashreplace")
    if sys.stderr is not None:
        faulthandler.enable()  # a game that crashes in this process leaves no other word than its line
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status: 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C."""
    invocation = Invocation()
    try:
        make_app()(args=list(arguments), prog_name=PROGRAM, obj=invocation)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        return _report(error, invocation.debug)
    return 0


def _report(error: Exception, debug: bool) -> int:
    """Print what went wrong, with its traceback if `debug`, and return the exit status."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, RetroGamerError):
        message, status = str(error), error.exit_code
    elif isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        message, status = f"{error.strerror or error}{place}", 1
    else:
        message, status = f"{type(error).__name__}: {error}\nThis is a fault of {PROGRAM}, not of yours.", 1
        message += "" if debug else " Please report what --debug shows."
    print(f"Error: {printable(message).rstrip()}", file=sys.stderr)
    return status
