"""DQNTrainer: training from Python. It makes the same runs as the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from retro_gamer.driver.creation import create_run_for, source_of_factory
from retro_gamer.driver.training_run import train
from retro_gamer.errors import ConfigurationError, Problem, quoted
from retro_gamer.games.description import GameMetadata
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import EventLogger, EventSink, Progress, Remark, RunEvent, Starting, TrainingOutcome

RESOLVED_FIELDS = ("board_size", "character_set", "player", "factory", "answers")


class Reporter(Protocol):
    """What `DQNTrainer` accepts beside an `EventSink`: one method for each kind of event that a display shows."""

    def begin(self, text: str) -> None:
        """Show the description of the network and of the allocation."""

    def progress(self, progress: Progress) -> None:
        """Show the progress; called several times a second."""

    def note(self, text: str) -> None:
        """Show one remark."""

    def close(self) -> None:
        """End the display; training is over."""


class ReporterSink:
    """Calls the methods of a `Reporter` with the events they are for."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.close = reporter.close

    def handle(self, event: RunEvent) -> None:
        """Call the method for this event, if there is one."""
        match event:
            case Starting():
                self._reporter.begin(event.text)
            case Progress():
                self._reporter.progress(event)
            case Remark():
                self._reporter.note(event.text)


class DQNTrainer:
    """Trains an agent for the games that `create_game` builds, in the run directory `run_dir`.

    A missing directory is created. If the directory holds a run, that run is trained; `train` writes the
    hyperparameters given here into its config.toml, after every check has passed. If it has checkpoints, `resume` is
    needed.

    Arguments:
        create_game: builds a new game at each call. If other processes cannot import it (it was typed in a notebook,
            for example), training works all the same, but `retro-gamer play` needs an importable one.
        metadata: the description of the game.
        run_dir: the run directory.
        actors: the number of actor processes; None for as many as are useful here, 0 for this process.
        resume: the checkpoint to resume from: a path, a name such as ``ep_0300``, or ``latest``.
        minutes: the time limit.
        reporter: takes the events of the run: an `EventSink` (``handle``, see `retro_gamer.run.events`) or a `Reporter`
            (``begin``, ``progress``, ``note``, ``close``); by default the ``retro_gamer`` logger. What has a ``close``
            is closed after each training.
        hyperparameters: any of `retro_gamer.hyperparameters.Hyperparameters`, by name.

    Raises:
        ConfigurationError: if a hyperparameter or the description is wrong, with all problems together.
        GameFailedError: if the game cannot be built.
    """

    def __init__(
        self,
        create_game: Callable[[], Any],
        metadata: GameMetadata,
        run_dir: str | Path,
        *,
        actors: int | None = None,
        resume: str | None = None,
        minutes: float | None = None,
        reporter: EventSink | Reporter | None = None,
        **hyperparameters: Any,
    ) -> None:
        self.run_dir = Path(run_dir)
        self._actors = actors
        self._resume = resume
        self._minutes = minutes
        self._display = _make_display(reporter)
        self._changes: dict[str, Any] = {}
        if RunDirectory(self.run_dir).config_path.exists():
            _check_run(self.run_dir, metadata, hyperparameters)
            self._changes = hyperparameters
        else:
            create_run_for(create_game, metadata, self.run_dir, hyperparameters)
        self._factory = None if source_of_factory(create_game) is not None else create_game

    def train(self) -> TrainingOutcome:
        """Train until the last episode, the time limit or a signal, and return how it ended.

        Raises:
            RetroGamerError: see `retro_gamer.errors`.
        """
        try:
            return train(
                self.run_dir,
                resume=self._resume,
                n_actors=self._actors,
                minutes=self._minutes,
                display=self._display,
                factory=self._factory,
                changes=self._changes,
            )
        finally:
            close = getattr(self._display, "close", None)
            if close is not None:
                close()


def _make_display(reporter: EventSink | Reporter | None) -> EventSink:
    if reporter is None:
        return EventLogger()
    return reporter if isinstance(reporter, EventSink) else ReporterSink(reporter)


def _check_run(run_dir: Path, metadata: GameMetadata, hyperparameters: dict[str, Any]) -> None:
    """Refuse a game other than that of the existing run, and hyperparameters that contradict its other ones."""
    config = load_config(run_dir)
    config.hyperparameters.changed(hyperparameters, f"the hyperparameters, with those of {run_dir / 'config.toml'}")
    there, here = config.metadata.to_mapping(), metadata.to_mapping()
    names = [name for name in (there | here) if name not in RESOLVED_FIELDS]
    problems = [
        Problem(
            field=name,
            value=here.get(name),
            rule=f"differs from {quoted(there.get(name))} in {run_dir / 'config.toml'}",
            remedy="choose another run directory, or make the two equal",
        )
        for name in names
        if there.get(name) != here.get(name)
    ]
    if problems:
        raise ConfigurationError(problems, "the metadata given for an existing run")
