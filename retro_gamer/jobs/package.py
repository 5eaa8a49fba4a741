"""The package that a cluster receives: retro-gamer itself, the game's project and, for a job, the run."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import retro_gamer
from retro_gamer.errors import UsageError, printable
from retro_gamer.games.loading.find import FRAMEWORK, GameSource, find_spec
from retro_gamer.games.loading.pyproject import find_section
from retro_gamer.jobs.client import home_folder
from retro_gamer.run.directory import SUFFIX, RunDirectory
from retro_gamer.run.snapshots import SnapshotFolder
from retro_gamer.training.preparation import ResumePoint

GAME = "game"
RUN = "run"
LARGE_FILE_BYTES = 20 * 1000 * 1000
"""Larger files of a project (data, videos, archives) are left out."""
LARGEST_SNAPSHOT_BYTES = 100 * 1000 * 1000
LARGEST_BYTES = 200 * 1000 * 1000
_LEFT_OUT = {"__pycache__", "node_modules", "venv", "env", "site-packages"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackedFile:
    """A file and its name in the package."""

    path: Path
    name: str

    @property
    def size_bytes(self) -> int:
        """Bytes before compression."""
        return self.path.stat().st_size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """The files of a package, and the place of the game in it.

    Only retro-gamer is at the top level, so that no module of the game shadows another module.
    """

    files: tuple[PackedFile, ...]
    source: GameSource | None
    """The game, with paths relative to the package; None for a game given as a function."""
    left_out: tuple[str, ...]
    """The large files that were not packed, as text."""

    @property
    def size_bytes(self) -> int:
        """Bytes before compression."""
        return sum(file.size_bytes for file in self.files)

    def write(self, path: Path) -> str:
        """Write the package as a zip file and return its SHA-256. The same files give the same bytes."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in self.files:
                info = zipfile.ZipInfo(file.name, date_time=(2020, 1, 1, 0, 0, 0))
                info.external_attr = 0o644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, file.path.read_bytes())
        return hashlib.sha256(path.read_bytes()).hexdigest()


def plan_package(
    source: GameSource | None, directory: RunDirectory | None = None, resume: ResumePoint | None = None
) -> Package:
    """Return the package for a game and, with `directory`, for its run: config, log, one checkpoint and its snapshot.

    Hidden files, environments, other runs and large files are left out; `.gitignore` is not read.

    Raises:
        UsageError: if the package is larger than 200 MB.
    """
    files = list(_program_files())
    left_out: list[str] = []
    moved = source
    root = _find_root(source) if source is not None else None
    if source is not None and root is not None:
        files += _project_files(root, source.search_path is None, left_out)
        moved = _move(source, root)
    if directory is not None:
        files += _run_files(directory, resume, left_out)
    package = Package(files=tuple(files), source=moved, left_out=tuple(left_out))
    if package.size_bytes > LARGEST_BYTES:
        largest = sorted(files, key=lambda file: -file.size_bytes)[:3]
        names = ", ".join(f"{file.name} ({file.size_bytes / 1e6:.0f} MB)" for file in largest)
        raise UsageError(
            printable(
                f"the game's project {root} is too large to send: {package.size_bytes / 1e6:,.0f} MB, at most "
                f"{LARGEST_BYTES / 1e6:.0f} MB. The largest files are {names}. Move the game into a folder of its own "
                "with its own pyproject.toml."
            )
        )
    return package


def _program_files() -> Iterator[PackedFile]:
    home = Path(retro_gamer.__file__).parent
    for path in sorted(home.rglob("*")):
        if path.suffix == ".py" or path.name == "py.typed":
            yield PackedFile(path=path, name=str(Path(home.name) / path.relative_to(home)))


def _find_root(source: GameSource) -> Path | None:
    """Return the folder of the game's project, or None for a game of the framework, which every node has.

    It is the folder of the pyproject.toml that describes the game if that contains the whole game, else the folder
    that its imports are resolved in.
    """
    if source.search_path is None:
        top = source.module.partition(".")[0]
        spec = find_spec(top) if top != FRAMEWORK else None
        places = list(spec.submodule_search_locations or ()) if spec else []
        return Path(places[0]) if places else Path(spec.origin) if spec and spec.origin else None
    search = Path(source.search_path)
    found = find_section(source.folder)
    if found is None:
        return search
    home = Path(found[0]).parent
    return home if search.is_relative_to(home) and home not in (home_folder(), Path(home.anchor)) else search


def _move(source: GameSource, root: Path) -> GameSource:
    if source.search_path is None:
        return dataclasses.replace(source, search_path=GAME)
    path = source.path or str(source.folder)
    inside = os.path.relpath(path, root) if Path(path).is_relative_to(root) else None
    return dataclasses.replace(
        source,
        path=os.path.normpath(os.path.join(GAME, inside)) if source.path and inside is not None else None,
        search_path=os.path.normpath(os.path.join(GAME, os.path.relpath(source.search_path, root))),
    )


def _project_files(root: Path, is_module: bool, left_out: list[str]) -> Iterator[PackedFile]:
    if root.is_file():
        yield PackedFile(path=root, name=f"{GAME}/{root.name}")
        return
    prefix = Path(GAME, root.name) if is_module else Path(GAME)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not _is_left_out(Path(folder, name)))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or name.endswith(".pyc") or not path.is_file():
                continue
            inside = path.relative_to(root)
            if path.stat().st_size > LARGE_FILE_BYTES:
                left_out.append(printable(f"{inside} ({path.stat().st_size / 1e6:.0f} MB)"))
                continue
            yield PackedFile(path=path, name=str(prefix / inside))


def _is_left_out(folder: Path) -> bool:
    is_run = (folder / "config.toml").is_file() and (folder / "checkpoints").is_dir()
    is_environment = (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta").is_dir()
    hidden = folder.name.startswith(".") or folder.name in _LEFT_OUT or folder.name.endswith(".egg-info")
    return hidden or is_environment or is_run


def _run_files(directory: RunDirectory, resume: ResumePoint | None, left_out: list[str]) -> Iterator[PackedFile]:
    yield PackedFile(path=directory.config_path, name=f"{RUN}/config.toml")
    if resume is None:
        return
    logs = [path for path in sorted(directory.path.glob("training.log*")) if path.is_file()]
    yield from (PackedFile(path=path, name=f"{RUN}/{path.name}") for path in logs)
    yield PackedFile(path=resume.file.path, name=f"{RUN}/checkpoints/{resume.name}{SUFFIX}")
    snapshot = resume.state.get("replay_snapshot")
    path = SnapshotFolder(directory.path).find(snapshot) if isinstance(snapshot, str) else None
    if path is not None and path.stat().st_size > LARGEST_SNAPSHOT_BYTES:
        left_out.append(f"{RUN}/replay/{path.name} ({path.stat().st_size / 1e6:.0f} MB): replay memory starts empty")
    elif path is not None:
        yield PackedFile(path=path, name=f"{RUN}/replay/{path.name}")
