"""A run directory: its files, and the checkpoint that a name means."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from retro_gamer.errors import CheckpointNotFoundError, RunExistsError, RunNotFoundError, UsageError, printable, quoted
from retro_gamer.run.files import (
    TEMPORARY,
    RunLock,
    check_link,
    check_links,
    first_free,
    read_file,
    sync_directory,
    write_atomic,
)

SUFFIX = ".pt"
FINAL = "final"
LATEST = "latest"
EVERY_EPISODES = 100
"""A checkpoint is kept for good at each multiple of this many episodes."""
BETWEEN_KEPT = 2
"""Of the checkpoints in between: the latest, and one before it in case the latest is damaged."""
LARGEST_BYTES = 4_000_000_000
"""Of a checkpoint that is read."""
_NAME = re.compile(r"ep_(\d{4,})|final", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """A checkpoint on disk.

    name: such as ``ep_0100`` or ``final``
    episode: the episode in its name, None for ``final``
    """

    name: str
    path: Path
    episode: int | None
    size_bytes: int
    modified: datetime.datetime

    def read(self) -> bytes:
        """Return the content.

        Raises:
            OSError: also for a file larger than `LARGEST_BYTES`.
        """
        return read_file(self.path, LARGEST_BYTES)


def checkpoint_name(episode: int) -> str:
    """Return the name of the checkpoint written at `episode`."""
    return f"ep_{episode:04d}"


def is_checkpoint_name(name: str) -> bool:
    """Return whether training writes checkpoints with the name `name`."""
    return _NAME.fullmatch(name) is not None


def describe_file(path: Path) -> CheckpointFile:
    """Return the checkpoint at `path`, whatever its name."""
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
    """Return the checkpoints in `directory` by episode, ``final`` last; none if it does not exist."""
    if not directory.is_dir():
        return []
    files = [
        describe_file(path)
        for path in directory.iterdir()
        if path.suffix == SUFFIX and is_checkpoint_name(path.stem) and path.is_file() and _is_inside(path, directory)
    ]
    return sorted(files, key=lambda file: (file.episode is None, file.episode))


def is_between(episode: int | None) -> bool:
    """Return whether a checkpoint of `episode` (None: ``final``) is between those that are kept for good."""
    return episode is not None and episode % EVERY_EPISODES != 0


def prunable(files: Sequence[CheckpointFile]) -> list[CheckpointFile]:
    """Return those of `files`, sorted by episode, to delete: the ones between the hundreds but the newest few."""
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
    """Check that `text` can name a file.

    Raises:
        UsageError: if it is empty or holds a null character.
    """
    if not text.strip() or "\0" in text:
        raise UsageError(f"{quoted(text)} is not the name of a checkpoint; try ep_0100, final or latest")


def _is_inside(path: Path, directory: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def _outside(directory: Path, text: str) -> UsageError:
    return UsageError(
        printable(
            f"the checkpoint {quoted(text)} is outside {directory}, and only files in it are opened.\n"
            "Choose one of this run, such as ep_0100, final or latest."
        )
    )


ABANDONED = "abandoned-"


class RunDirectory:
    """The files of one run. Nothing is read or created before a method is called."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.lock: RunLock | None = None

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Return the run at `path`.

        Raises:
            RunNotFoundError: if it does not exist or contains no config.toml.
        """
        run = cls(path)
        if run.config_path.is_file():
            return run
        place = quoted(str(path), 300)
        if run.path.is_file():
            rule = f"{place} is a file, but a run is a directory. Try its folder: {quoted(str(run.path.parent), 300)}"
        elif run.path.is_dir():
            rule = f"{place} is not a run: it contains no config.toml."
        else:
            rule = f"{place} does not exist."
        raise RunNotFoundError(f"{rule}\nCreate a run with: retro-gamer create --game GAME --output DIR")

    @classmethod
    def create(cls, path: str | Path, force: bool = False) -> RunDirectory:
        """Return a directory ready for a new run. A missing one is created.

        `force` moves an existing run aside: its checkpoints to checkpoints/abandoned-<n>, its log to training.log.<n>,
        and a copy of its config.toml to config.toml.<n>. Nothing is lost.

        Raises:
            RunExistsError: if there is a run and `force` is false, or if `path` is a file.
            StorageError: if a link leads out of the run directory.
        """
        run = cls(path)
        place = quoted(str(path), 300)
        if run.path.exists() and not run.path.is_dir():
            raise RunExistsError(f"{place} is a file; choose a directory that does not exist yet")
        if not force and (run.config_path.exists() or run.log_path.exists() or run.has_checkpoints):
            raise RunExistsError(
                f"{place} already contains a run. Choose another directory, or add --force: it moves the settings, "
                "checkpoints and log aside and deletes nothing."
            )
        check_links(run.path)
        run.checkpoints_dir.mkdir(parents=True, exist_ok=True)
        if run.config_path.is_file():
            write_atomic(first_free(run.path, f"{run.config_path.name}."), run.config_path.read_bytes())
        run._move_aside(run.checkpoints())
        if run.log_path.exists():
            os.rename(run.log_path, first_free(run.path, f"{run.log_path.name}."))
        return run

    @classmethod
    def make_beside(cls, path: Path) -> RunDirectory:
        """Make a directory for what is left of the run at `path`, beside it or else among the temporary files.

        Raises:
            OSError: if neither is possible.
        """
        with contextlib.suppress(OSError):
            run = cls(first_free(path.absolute().parent, f"{path.absolute().name}-rescued-"))
            run.path.mkdir()
            return run
        return cls(tempfile.mkdtemp(prefix=f"{path.absolute().name[:100]}-rescued-"))

    def find_loss(self) -> str | None:
        """Return what happened to a locked run directory if it is no longer this process's, in words; else None."""
        return self.lock.find_loss() if self.lock is not None else None

    @property
    def config_path(self) -> Path:
        """The path of the configuration."""
        return self.path / "config.toml"

    @property
    def log_path(self) -> Path:
        """The path of the episode log."""
        return self.path / "training.log"

    @property
    def checkpoints_dir(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def has_checkpoints(self) -> bool:
        """Whether there is any checkpoint."""
        return bool(self.checkpoints())

    def checkpoints(self) -> list[CheckpointFile]:
        """Return the checkpoints by episode, ``final`` last."""
        return list_files(self.checkpoints_dir)

    def write_checkpoint(self, name: str, data: bytes) -> Path:
        """Write the checkpoint `name` (``ep_NNNN`` or ``final``) atomically and return its path.

        Raises:
            OSError: if it cannot be written; an older one of that name is then untouched.
        """
        if not is_checkpoint_name(name):
            raise ValueError(f"the name of a checkpoint must be ep_NNNN or final, not {name!r}")
        check_link(self.checkpoints_dir, self.path)
        self.checkpoints_dir.mkdir(parents=True, exist_ok=True)
        path = self.checkpoints_dir / f"{name}{SUFFIX}"
        write_atomic(path, data)
        return path

    def delete_temporary_files(self) -> None:
        """Delete temporary files of a killed writer. Call only while holding the run lock."""
        check_link(self.checkpoints_dir, self.path)
        for folder in (self.path, self.checkpoints_dir):
            for temporary in folder.glob(f"{TEMPORARY}*"):
                temporary.unlink(missing_ok=True)

    def prune_checkpoints(self, keep: Collection[str] = ()) -> None:
        """Delete the checkpoints between the hundreds except the newest few (`BETWEEN_KEPT`).

        Those of every hundredth episode, ``final`` and those named in `keep` (such as ``ep_0157``) always stay.
        """
        check_link(self.checkpoints_dir, self.path)
        for file in prunable(self.checkpoints()):
            if file.name not in keep:
                file.path.unlink(missing_ok=True)

    def resolve_checkpoint(self, name: str) -> CheckpointFile:
        """Return the checkpoint of this run called `name`: ``latest``, a name, or a path within checkpoints/.

        Raises:
            UsageError: for a path that leads out of checkpoints/.
            CheckpointNotFoundError: if there is none, listing those that exist.
        """
        return self._resolve(name, lambda: find_inside(self.checkpoints_dir, name))

    def resolve_resume(self, text: str) -> CheckpointFile:
        """Return the checkpoint to resume from: ``latest``, a name, or a path.

        A path may be absolute, relative to the working directory, or else relative to checkpoints/.

        Raises:
            CheckpointNotFoundError: if there is none, listing those that exist.
        """
        return self._resolve(text, lambda: find_file(Path(text)) or find_file(self.checkpoints_dir / text))

    def find_own(self, file: CheckpointFile) -> CheckpointFile | None:
        """Return the checkpoint of this run that is the same file as `file`, None if there is none."""
        return next((own for own in self.checkpoints() if own.path.samefile(file.path)), None)

    def default_checkpoint(self) -> tuple[CheckpointFile, str | None]:
        """Return ``final``, or else the latest and a note that says so.

        Raises:
            CheckpointNotFoundError: if the run has no checkpoint.
        """
        latest = self._latest()
        if latest.name == FINAL:
            return latest, None
        return (
            latest,
            f"training has not finished, so there is no final.pt; this is the latest checkpoint, {latest.name}",
        )

    def abandon_after(self, episode: int, resumed_from: CheckpointFile | None = None) -> Path | None:
        """Move checkpoints after `episode`, and final.pt, to checkpoints/abandoned-<n>; return that, None without any.

        If training resumes from final.pt, that is renamed to the checkpoint of its episode, so that it is kept.
        """
        check_link(self.checkpoints_dir, self.path)
        final = self.checkpoints_dir / f"{FINAL}{SUFFIX}"
        if resumed_from and final.is_file() and final.samefile(resumed_from.path):
            os.replace(final, self.checkpoints_dir / f"{checkpoint_name(episode)}{SUFFIX}")
            sync_directory(self.checkpoints_dir)
        return self._move_aside([f for f in self.checkpoints() if f.episode is None or f.episode > episode])

    def keep_abandoned(self, folder: Path) -> None:
        """Rename `folder` to the next number if it is an abandoned one of this run: others will take its place."""
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
            raise CheckpointNotFoundError(f"there is no checkpoint {quoted(text)}.\n{self._list_checkpoints()}")
        return describe_file(found)

    def _latest(self) -> CheckpointFile:
        files = self.checkpoints()
        if not files:
            raise CheckpointNotFoundError(self._list_checkpoints())
        return files[-1]

    def _list_checkpoints(self) -> str:
        names = [file.name for file in self.checkpoints()]
        if not names:
            place = shlex.quote(str(self.path))
            return printable(f"{self.path} has no checkpoint yet. Train the run with: retro-gamer train {place}")
        first = names if len(names) <= 8 else [*names[:3], "…", *names[-4:]]
        return printable(f"{self.path} has: {', '.join(first)}")
