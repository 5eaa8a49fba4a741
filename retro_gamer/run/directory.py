"""A run directory: where its files are, and which checkpoint is meant."""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import shlex
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from retro_gamer.errors import CheckpointNotFoundError, RunExistsError, RunNotFoundError, UsageError, printable, quoted
from retro_gamer.run.files import TEMPORARY, first_free, sync_directory, write_atomic

SUFFIX = ".pt"
FINAL = "final"
LATEST = "latest"
EVERY_EPISODES = 100
"""A checkpoint is kept for good at each multiple of this many episodes."""
BETWEEN_KEPT = 2
"""Of the checkpoints between those: one to go on from, and one to fall back on if it is damaged."""
_NAME = re.compile(r"ep_(\d{4,})|final", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """A checkpoint on disk.

    name: such as ``ep_0100`` or ``final``
    episode: the episode its name tells, None for ``final``
    """

    name: str
    path: Path
    episode: int | None
    size_bytes: int
    modified: datetime.datetime


def checkpoint_name(episode: int) -> str:
    """Return the name of the checkpoint written at `episode`."""
    return f"ep_{episode:04d}"


def is_checkpoint_name(name: str) -> bool:
    """Return whether checkpoints of training may be called `name`."""
    return _NAME.fullmatch(name) is not None


def describe_file(path: Path) -> CheckpointFile:
    """Return the checkpoint at `path`, whatever it is called."""
    name = path.name.removesuffix(SUFFIX)
    found = _NAME.fullmatch(name)
    status = path.stat()
    return CheckpointFile(
        name=name,
        path=path,
        episode=int(found[1]) if found and found[1] else None,
        size_bytes=status.st_size,
        modified=datetime.datetime.fromtimestamp(status.st_mtime).astimezone(),
    )


def list_files(directory: Path) -> list[CheckpointFile]:
    """Return the checkpoints in `directory` by episode, ``final`` last; none if there is no such directory."""
    if not directory.is_dir():
        return []
    files = [
        describe_file(path)
        for path in directory.iterdir()
        if path.suffix == SUFFIX and is_checkpoint_name(path.stem) and path.is_file() and _is_inside(path, directory)
    ]
    return sorted(files, key=lambda file: (file.episode is None, file.episode))


def is_between(episode: int | None) -> bool:
    """Return whether a checkpoint of `episode` (None: ``final``) lies between those that are kept for good."""
    return episode is not None and episode % EVERY_EPISODES != 0


def prunable(files: Sequence[CheckpointFile]) -> list[CheckpointFile]:
    """Return those of `files`, sorted by episode, that may go: the ones between the hundreds but the newest few."""
    between = [file for file in files if is_between(file.episode)]
    return between[:-BETWEEN_KEPT]


def find_file(path: Path) -> Path | None:
    """Return the file at `path`, with or without its ``.pt``, or None."""
    for candidate in (path, path.with_name(path.name + SUFFIX)) if path.name else ():
        if candidate.is_file():
            return candidate
    return None


def find_inside(directory: Path, text: str) -> Path | None:
    """Return the file that `text` names within `directory`, or None if there is none.

    Raises:
        UsageError: if `text` leads out of `directory`: as an absolute path, through ``..`` or through a link.
    """
    named = Path(text)
    if named.is_absolute() and named.parent.is_dir() and _is_inside(named.parent, directory):
        named = Path(os.path.realpath(named.parent)).relative_to(os.path.realpath(directory)) / named.name
    if named.is_absolute() or ".." in named.parts:
        raise _outside(directory, text)
    found = find_file(directory / named)
    if found and not _is_inside(found, directory):
        raise _outside(directory, text)
    return found


def check_name(text: str) -> None:
    """Return if `text` can name a file at all.

    Raises:
        UsageError: if it is empty or holds a null character.
    """
    if not text.strip() or "\0" in text:
        raise UsageError(f"{quoted(text)} is no name of a checkpoint; try ep_0100, final or latest")


def _is_inside(path: Path, directory: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def _outside(directory: Path, text: str) -> UsageError:
    return UsageError(
        printable(
            f"the checkpoint {quoted(text)} lies outside {directory}, and only files within it are opened.\n"
            "Name one of this run, such as ep_0100, final or latest."
        )
    )


ABANDONED = "abandoned-"


class RunDirectory:
    """The files of one training run. Nothing is read or made until it is asked for."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Return the run at `path`.

        Raises:
            RunNotFoundError: if there is no such directory or it holds no config.toml.
        """
        run = cls(path)
        if run.config_path.is_file():
            return run
        place = quoted(str(path), 300)
        if run.path.is_file():
            rule = f"{place} is a file, and a run is a directory. Try its folder: {quoted(str(run.path.parent), 300)}"
        elif run.path.is_dir():
            rule = f"{place} holds no config.toml, so it is not a run."
        else:
            rule = f"there is no directory {place}."
        raise RunNotFoundError(f"{rule}\nMake a run with: retro-gamer create --game MODULE --output DIR")

    @classmethod
    def create(cls, path: str | Path, force: bool = False) -> RunDirectory:
        """Return a directory ready for a new run, made if it is missing.

        With `force` a run that is there makes room: its checkpoints move to checkpoints/abandoned-<n>, its log
        becomes training.log.<n>, and its config.toml is copied to config.toml.<n>; nothing is lost.

        Raises:
            RunExistsError: if there is a run and not `force`, or a file of that name.
        """
        run = cls(path)
        place = quoted(str(path), 300)
        if run.path.exists() and not run.path.is_dir():
            raise RunExistsError(f"{place} is a file; name a directory that does not exist yet")
        if not force and (run.config_path.exists() or run.log_path.exists() or run.has_checkpoints):
            raise RunExistsError(
                f"{place} already holds a run. Name another directory, or add --force to write a new configuration "
                "there: its settings, checkpoints and log are then kept aside, not deleted."
            )
        run.checkpoints_dir.mkdir(parents=True, exist_ok=True)
        if run.config_path.is_file():
            write_atomic(first_free(run.path, f"{run.config_path.name}."), run.config_path.read_bytes())
        run._move_aside(run.checkpoints())
        if run.log_path.exists():
            os.rename(run.log_path, first_free(run.path, f"{run.log_path.name}."))
        return run

    @property
    def config_path(self) -> Path:
        """Where the game description and the hyperparameters are."""
        return self.path / "config.toml"

    @property
    def log_path(self) -> Path:
        """Where the episodes are logged."""
        return self.path / "training.log"

    @property
    def checkpoints_dir(self) -> Path:
        """Where the checkpoints are."""
        return self.path / "checkpoints"

    @property
    def has_checkpoints(self) -> bool:
        """Whether any checkpoint is there."""
        return bool(self.checkpoints())

    def checkpoints(self) -> list[CheckpointFile]:
        """Return the checkpoints by episode, ``final`` last."""
        return list_files(self.checkpoints_dir)

    def write_checkpoint(self, name: str, data: bytes) -> Path:
        """Write the checkpoint `name` (``ep_NNNN`` or ``final``) whole or not at all and return its path.

        Raises:
            OSError: if it cannot be written; an older one of that name is then untouched.
        """
        if not is_checkpoint_name(name):
            raise ValueError(f"a checkpoint is called ep_NNNN or final, not {name!r}")
        self.checkpoints_dir.mkdir(parents=True, exist_ok=True)
        path = self.checkpoints_dir / f"{name}{SUFFIX}"
        write_atomic(path, data)
        return path

    def clear_leftovers(self) -> None:
        """Remove what a process that was killed while it wrote has left; nobody else may be writing."""
        for folder in (self.path, self.checkpoints_dir):
            for leftover in folder.glob(f"{TEMPORARY}*"):
                leftover.unlink(missing_ok=True)

    def prune_checkpoints(self, keep: Collection[str] = ()) -> None:
        """Remove the checkpoints between the hundreds but for the newest few (`runs.checkpoints.BETWEEN_KEPT`).

        Those of every hundredth episode and ``final`` are never touched, nor those that `keep` names (``ep_0157``).
        """
        for file in prunable(self.checkpoints()):
            if file.name not in keep:
                file.path.unlink(missing_ok=True)

    def resolve_checkpoint(self, name: str) -> CheckpointFile:
        """Return the checkpoint of this run called `name`: ``latest``, a name, or a path within checkpoints/.

        Raises:
            UsageError: for a path that leads out of checkpoints/.
            CheckpointNotFoundError: if there is none, naming those there are.
        """
        return self._resolve(name, lambda: find_inside(self.checkpoints_dir, name))

    def resolve_resume(self, text: str) -> CheckpointFile:
        """Return the checkpoint to resume from: ``latest``, a name, or a path.

        A path may be absolute or relative, to the working directory first, then to checkpoints/.

        Raises:
            CheckpointNotFoundError: if there is none, naming those there are.
        """
        return self._resolve(text, lambda: find_file(Path(text)) or find_file(self.checkpoints_dir / text))

    def find_own(self, file: CheckpointFile) -> CheckpointFile | None:
        """Return which of this run's checkpoints `file` is, by whatever path it was named, or None if it is none."""
        return next((own for own in self.checkpoints() if own.path.samefile(file.path)), None)

    def default_checkpoint(self) -> tuple[CheckpointFile, str | None]:
        """Return ``final``, or the latest and a note that says so.

        Raises:
            CheckpointNotFoundError: if the run has no checkpoint.
        """
        latest = self._latest()
        if latest.name == FINAL:
            return latest, None
        return latest, f"training has not finished, so there is no final.pt: this is the latest, {latest.name}"

    def abandon_after(self, episode: int, resumed_from: CheckpointFile | None = None) -> Path | None:
        """Move checkpoints after `episode`, and final.pt, out of the way; return where to, or None if there were none.

        They go to checkpoints/abandoned-<n>. If training resumes from final.pt, that becomes the checkpoint of its
        episode: it is not lost if the run dies before the next, and no longer called final.
        """
        final = self.checkpoints_dir / f"{FINAL}{SUFFIX}"
        if resumed_from and final.is_file() and final.samefile(resumed_from.path):
            os.replace(final, self.checkpoints_dir / f"{checkpoint_name(episode)}{SUFFIX}")
            sync_directory(self.checkpoints_dir)
        return self._move_aside([f for f in self.checkpoints() if f.episode is None or f.episode > episode])

    def keep_abandoned(self, folder: Path) -> None:
        """Give `folder` another number if checkpoints were moved aside to it: others are to come there."""
        if folder.parent == self.checkpoints_dir:
            os.rename(folder, first_free(self.checkpoints_dir, ABANDONED))

    def _move_aside(self, files: list[CheckpointFile]) -> Path | None:
        if not files:
            return None
        folder = first_free(self.checkpoints_dir, ABANDONED)
        folder.mkdir()
        for file in files:
            os.rename(file.path, folder / file.path.name)
        sync_directory(folder)
        sync_directory(self.checkpoints_dir)
        return folder

    def _resolve(self, text: str, find: Callable[[], Path | None]) -> CheckpointFile:
        check_name(text)
        if text == LATEST:
            return self._latest()
        found = find()
        if found is None:
            raise CheckpointNotFoundError(f"there is no checkpoint {quoted(text)}.\n{self._those_there()}")
        return describe_file(found)

    def _latest(self) -> CheckpointFile:
        files = self.checkpoints()
        if not files:
            raise CheckpointNotFoundError(self._those_there())
        return files[-1]

    def _those_there(self) -> str:
        names = [file.name for file in self.checkpoints()]
        if not names:
            place = shlex.quote(str(self.path))
            return printable(f"{self.path} has no checkpoint yet. Train it with: retro-gamer train {place}")
        first = names if len(names) <= 8 else [*names[:3], "…", *names[-4:]]
        return printable(f"{self.path} has: {', '.join(first)}")
