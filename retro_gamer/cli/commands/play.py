"""``retro-gamer play``: watch a trained agent play in the terminal."""

from __future__ import annotations

import functools
import os
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retro_gamer.cli.commands.options import Checkpoint, Debug, RunDir
from retro_gamer.cli.display.numbers import count, number
from retro_gamer.errors import UsageError, printable, quoted

if TYPE_CHECKING:
    from retro_gamer.cli.display.play_screen import WatchedGame

FASTEST_FRAMERATE = 1000

Framerate = Annotated[float, typer.Option("--framerate", metavar="N", help="Turns shown per second.")]


def play(run_dir: RunDir, checkpoint: Checkpoint = None, framerate: Framerate = 12, debug: Debug = False) -> None:
    """Watch a trained agent play in the terminal.

    Press Enter or Escape to quit.
    """
    if not 0 < framerate <= FASTEST_FRAMERATE:
        raise UsageError(f"--framerate {framerate}: must be more than 0 and at most {FASTEST_FRAMERATE:,}; try 12")
    # Read when blessed is imported: it queries the terminal, and some terminals never answer.
    os.environ.setdefault("BLESSED_QUERY_TIMEOUT_SECONDS", "0.5")
    from retro_gamer.cli.display.play_screen import TerminalSignals, full_screen, open_terminal

    terminal = open_terminal()  # before torch is imported, which takes seconds
    from retro_gamer.cli.display.play_screen import Viewer
    from retro_gamer.games.session import GameSession
    from retro_gamer.learning import set_threads
    from retro_gamer.policy import TrainedPolicy
    from retro_gamer.run.config import load_config

    policy = TrainedPolicy(run_dir, checkpoint)
    make_session = functools.partial(GameSession.load, load_config(run_dir).require_source(), policy.metadata)
    policy.check_game(make_session)
    session = make_session()
    set_threads(1)
    if policy.note:
        typer.echo(f"Note: {policy.note}.")
    watched: list[WatchedGame] = []
    with TerminalSignals() as signals:
        try:
            with full_screen(terminal, signals):
                for game in Viewer(terminal, signals, policy, session, framerate).play_games():
                    watched.append(game)  # reported even if a later game fails
            signals.check()
        except KeyboardInterrupt:
            raise typer.Exit(128 + (signals.signal_number or signal.SIGINT)) from None
        finally:
            if watched:
                typer.echo(printable(describe_games(watched, policy.metadata.reward, run_dir, checkpoint)))


def describe_games(watched: list[WatchedGame], reward: str, run_dir: Path, checkpoint: str | None) -> str:
    """Return the scores of the last ten games watched and the command that shows more."""
    lines = [_describe(game, reward) for game in watched[-10:]]
    chosen = f" --checkpoint {shlex.quote(checkpoint)}" if checkpoint is not None else ""
    return "\n".join([*lines, f"Watch again: retro-gamer play {shlex.quote(str(run_dir))}{chosen}"])


def _describe(game: WatchedGame, reward: str) -> str:
    numbers = {str(key): value for key, value in game.state.items() if isinstance(value, (int, float))}
    others = ", ".join(f"{key} {_value(value)}" for key, value in sorted(numbers.items()) if key != reward)
    outcome = "Game over" if game.is_over else "Quit"
    text = f"{outcome} after {count(game.turns, 'turn')}: {reward} {_value(game.score)}"
    return f"{text} ({others})" if others else text


def _value(value: object) -> str:
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else quoted(value)
